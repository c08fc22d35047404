use super::*;

fn text(html: &str) -> String {
    render(html, 1 << 20).text
}

fn pairs(html: &str) -> Vec<(String, String)> {
    let rendered = render(html, 1 << 20);
    let pairs = rendered.pairs.iter();
    pairs
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn a_document_is_the_text_that_a_reader_sees() {
    for (html, expected) in [
        ("<p>One</p><p>Two<br>Three</p>", "One\nTwo\nThree\n"),
        (
            "<div>One\n  two&nbsp;<b>three</b></div>four",
            "One two three\nfour\n",
        ),
        ("a<script>b</script><style>c</style>d<!-- e -->f", "adf\n"),
        (
            "<title>no</title>x &lt;&amp;&gt; &eacute;&#8364;",
            "x <&> é€\n",
        ),
        (
            "<table><tr><td>a<td>b</tr><tr><td><p>c</p></td><td><div>d</div></td></table>e",
            "a\tb\nc\td\ne\n",
        ),
        ("<ul><li>a<li>b</ul>", "a\nb\n"),
        ("<pre>a\n  b</pre>c", "a\n  b\nc\n"),
        ("a<br><br><br>b", "a\n\nb\n"),
        ("<span>a</span> <span>b</span><i>c</i>", "a bc\n"),
        ("", ""),
    ] {
        assert_eq!(text(html), expected, "{html}");
    }
}

#[test]
fn tables_and_lists_are_pairs() {
    for html in [
        "<table><tr><td>Status</td><td>OPEN</td></tr></table>",
        "<TABLE><TR><TH>Status:<TD>OPEN</TABLE>",
        "<table><tr><td><p><b>Status:</b></p></td><td>\n <span>OPEN</span></td></tr>",
        "<dl><dt>Status<dd>OPEN</dl>",
        "<dl><dt>Status:</dt><dd><p>OPEN</p></dd></dl>",
        "<p>Status: OPEN</p>",
        "<p><b>Status</b>: OPEN</p>",
        "<ul><li>Status = OPEN</li></ul>",
        "<table><tr><td>Status: OPEN</td></tr></table>",
        "<table><tr><td>Status<td>:<td>OPEN</table>",
        "<table><tr><td><table><tr><td>Status</td></tr></table></td>\
         <td><table><tr><td></td><td><table><tr><td>OPEN</td></tr></table></td></tr></table>\
         </td></tr></table>",
        "<table><tr><td>Status<td>&nbsp;<td>OPEN</table>",
        "<table><tr><td><table><tr><td>Status</td><td>OPEN</td></tr></table></td></tr></table>",
    ] {
        assert_eq!(
            pairs(html),
            [("Status".to_owned(), "OPEN".to_owned())],
            "{html}"
        );
    }
}

#[test]
fn what_a_value_says_is_no_pair_beside_its_own() {
    let html = "<table><tr><td>Message</td><td>Status: down</td></tr>\
                <tr><td>Status</td><td>OPEN</td></tr></table>";
    let rendered = render(html, 1 << 20);
    assert_eq!(rendered.pairs.get("Status"), Some("OPEN"));
    assert_eq!(rendered.pairs.get("Message"), Some("Status: down"));
}

#[test]
fn a_row_may_hold_several_pairs() {
    let html = "<table><tr><td>ID:<td>7<td>Status:<td>OPEN</tr>\
                <tr><td>Host:<td>web1<td><td></tr></table>";
    let rendered = render(html, 1 << 20);
    for (label, value) in [("ID", "7"), ("Status", "OPEN"), ("Host", "web1")] {
        assert_eq!(rendered.pairs.get(label), Some(value), "{label}");
    }
    assert_eq!(rendered.pairs.len(), 3);

    let columns = "<table><tr><th>ID<th>Host<th>Status<th>Note</tr>\
                   <tr><td>7<td>web1<td>OPEN<td>x</table>";
    assert_eq!(pairs(columns), []);
}

#[test]
fn an_empty_cell_keeps_its_column() {
    let empty = [
        "<td></td>",
        "<td>",
        "<td> \n </td>",
        "<th/>",
        "<td><img src=x></td>",
        "<td><br></td>",
        "<td><br/><br></td>",
        "<td><p></p></td>",
        "<td><div><span></span></div></td>",
        "<td>\u{200b}</td>",
    ];
    for cell in empty {
        for count in 0..4 {
            let between = cell.repeat(count);
            let tabs = "\t".repeat(count + 1);
            for row in [
                format!("<tr><td>INC2</td>{between}<td>closed</td></tr>"),
                format!("<tr><td><p>INC2</p>{between}<td><p>closed</p>{between}</tr>"),
            ] {
                let html = format!("<table>{row}{row}</table>x");
                let line = format!("INC2{tabs}closed\n");
                assert_eq!(text(&html), format!("{line}{line}x\n"), "{html}");
            }
        }
    }
}

#[test]
fn a_colon_may_stand_in_the_next_cell() {
    for (before, after) in [
        ("<table><tr><td>Status</td><td>", "</td></tr></table>"),
        ("<table><tr><td>Status:</td><td>", "</td></tr></table>"),
        ("<dl><dt>Status<dd>", "</dl>"),
    ] {
        for (value, expected) in [
            (": up", "up"),
            (":up", "up"),
            ("：up", "up"),
            ("= up", "up"),
            (":", ""),
            ("::1", "::1"),
            ("up: 5", "up: 5"),
        ] {
            let html = format!("{before}{value}{after}");
            let read = render(&html, 1 << 20).pairs;
            assert_eq!(read.get("Status"), Some(expected), "{html}");
        }
    }
}

#[test]
fn a_frame_around_a_line_hides_no_pair() {
    let html = "<table><tr><td>Acme<td><table><tr><td>Status: OPEN</table></table>";
    assert_eq!(render(html, 1 << 20).pairs.get("Status"), Some("OPEN"));
}

#[test]
fn a_table_that_only_lays_out_is_no_pair() {
    let html = "<table><tr><td>logo</td><td>Host: a<br>State: b</td></tr></table>";
    let rendered = render(html, 1 << 20);
    assert_eq!(rendered.pairs.get("Host"), Some("a"));
    assert_eq!(rendered.pairs.get("State"), Some("b"));
}

#[test]
fn a_link_leads_somewhere() {
    let rendered = render(
        "<p>x <a href='https://e.x/?a=1&amp;b=2'>View\n it</a>",
        1 << 20,
    );
    assert_eq!(
        rendered.links,
        [("View it".to_owned(), "https://e.x/?a=1&b=2".to_owned())]
    );
}
