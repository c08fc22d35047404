use super::*;
use crate::extract::pairs::MAX_PAIRS;
use crate::extract::pairs::Pairs;

fn seen(html: &str) -> Rendered {
    let [seen, _] = render(html, 1 << 20);
    seen
}

fn text(html: &str) -> String {
    seen(html).text
}

fn read(html: &str) -> Pairs {
    Pairs::joined([Lines::default(), seen(html).pairs], false)
}

fn pairs(html: &str) -> Vec<(String, String)> {
    let pairs = read(html);
    pairs
        .iter()
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
    let read = read(html);
    assert_eq!(read.get("Status"), Some("OPEN"));
    assert_eq!(read.get("Message"), Some("Status: down"));
}

#[test]
fn a_row_may_hold_several_pairs() {
    let html = "<table><tr><td>ID:<td>7<td>Status:<td>OPEN</tr>\
                <tr><td>Host:<td>web1<td><td></tr></table>";
    let read = read(html);
    for (label, value) in [("ID", "7"), ("Status", "OPEN"), ("Host", "web1")] {
        assert_eq!(read.get(label), Some(value), "{label}");
    }
    assert_eq!(read.len(), 3);

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
            let read = read(&html);
            assert_eq!(read.get("Status"), Some(expected), "{html}");
        }
    }
}

#[test]
fn a_frame_around_a_line_hides_no_pair() {
    let html = "<table><tr><td>Acme<td><table><tr><td>Status: OPEN</table></table>";
    assert_eq!(read(html).get("Status"), Some("OPEN"));
}

#[test]
fn a_table_that_only_lays_out_is_no_pair() {
    let html = "<table><tr><td>logo</td><td>Host: a<br>State: b</td></tr></table>";
    let read = read(html);
    assert_eq!(read.get("Host"), Some("a"));
    assert_eq!(read.get("State"), Some("b"));
}

#[test]
fn a_link_leads_somewhere() {
    let rendered = seen("<p>x <a href='https://e.x/?a=1&amp;b=2'>View\n it</a>");
    assert_eq!(
        rendered.links,
        [("View it".to_owned(), "https://e.x/?a=1&b=2".to_owned())]
    );
}

/// Ways in which a mail hides text before what its reader sees. Each is a document in which `@`
/// stands for the hidden text.
const HIDING: [&str; 22] = [
    "<div style=\"display:none\">@</div>",
    "<DIV STYLE='color:red; DISPLAY : NONE !important'>@</DIV>",
    "<div style=\"display:none;mso-hide:all;font-size:1px;max-height:0\"><p>@</div>",
    "<span style=\"display:none;display:none!important\">@</span>",
    "<div hidden>@</div>",
    "<p hidden=\"\">@<p>",
    "<div style=\"visibility:hidden\">@</div>",
    "<td style=\"visibility: collapse\">@</td>",
    "<div style=\"font-size:0\">@</div>",
    "<div style=\"font-size:0px;line-height:0\"><b>@</b></div>",
    "<div style=\"font:0/0 a\">@</div>",
    "<div style=\"opacity:0\">@</div>",
    "<div style=\"max-height:0;overflow:hidden\">@</div>",
    "<span style=\"display:block;height:0;overflow:hidden\">@</span>",
    "<table style=\"display:none\"><tr><td>x</td><td>@</td></tr></table>",
    "<ul><li style=\"display:none\">@<li></ul>",
    "<noscript>@</noscript>",
    "<template>@</template>",
    "<title>@</title>",
    "<!-- @ -->",
    "<!-- a --!><!--[if mso]><p>@</p><![endif]-->",
    "<style>/* @ */</style>",
];

#[test]
fn what_is_hidden_is_never_in_front_of_what_is_seen() {
    let alert = "<table><tr><td>Status</td><td>OPEN</td></tr></table>\n";
    for hiding in HIDING {
        for hidden in [
            "Status: CLOSED",
            "Status: CLOSED<br>Host: a",
            "<b>Status</b>: CLOSED",
        ] {
            let html = format!("{}{alert}", hiding.replace('@', hidden));
            let [seen, unseen] = render(&html, 1 << 20);
            assert_eq!(seen.text.trim(), "Status\tOPEN", "{html}");
            let mut read = Pairs::joined([Lines::default(), seen.pairs], false);
            read.add_behind(Pairs::joined([Lines::default(), unseen.pairs], false));
            assert_eq!(read.readings("Status"), ["OPEN"], "{html}");
        }
    }
}

#[test]
fn what_is_hidden_wholly_is_read_all_the_same() {
    let alert = "<table><tr><td>Status</td><td>OPEN</td></tr></table>";
    // The last four contain no markup.
    for hiding in &HIDING[..18] {
        let [seen, unseen] = render(&hiding.replace('@', alert), 1 << 20);
        assert_eq!(seen.text.trim(), "", "{hiding}");
        let read = Pairs::joined([Lines::default(), unseen.pairs], false);
        assert_eq!(read.get("Status"), Some("OPEN"), "{hiding}");
    }
}

#[test]
fn what_ends_or_undoes_hiding_is_seen() {
    for html in [
        "<div style=\"display:none\">x</div>Status: OPEN",
        "<p style=\"display:none\">x<p>Status: OPEN",
        "<p style=\"display:none\">x<div>Status: OPEN</div>",
        "<p style=\"display:none\"><span>x<div>Status: OPEN</div>",
        "<div style=\"display:none\"><p>x</div>Status: OPEN",
        "<div style=\"display:none\"><div>x</div></div>Status: OPEN",
        "<ul><li hidden>x<li>Status: OPEN</ul>",
        "<table><tr><td hidden>x<td>Status: OPEN</table>",
        "<table><tr hidden><td>x<tr><td>Status: OPEN</table>",
        "<table><tr><td><span hidden>x</td><td>Status: OPEN</td></tr></table>",
        "<dl><dt hidden>x<dt>Status<dd>OPEN</dl>",
        "<img hidden>Status: OPEN",
        "<input style=\"display:none\">Status: OPEN",
        "<div hidden style=\"display:block\">Status: OPEN</div>",
        "<div style=\"display:none;display:block\">Status: OPEN</div>",
        "<div style=\"font-size:0\"><span style=\"font-size:13px\">Status: OPEN</span></div>",
        "<div style=\"font-size:0px\"><table><tr><td style=\"font:13px/1 a\">Status<td \
         style=\"font-size:1rem\">OPEN</table></div>",
        "<div style=\"visibility:hidden\"><b style=\"visibility:visible\">Status: OPEN</b></div>",
        "<div style=\"font-size:0.8em;height:0;opacity:0.5\">Status: OPEN</div>",
        "<td style=\"height:0;overflow:hidden\">Status: OPEN</td>",
        "<span style=\"max-height:0;overflow:hidden\">Status: OPEN</span>",
        "<div style=\"mso-hide:all\">Status: OPEN</div>",
        "<div class=hidden data-hidden title=\"hidden\">Status: OPEN</div>",
        "<div title=\"style='display:none'\">Status: OPEN</div>",
        "<![if !mso]>Status: OPEN<![endif]>",
        "<!--[if !mso]><!-->Status: OPEN<!--<![endif]-->",
    ] {
        assert_eq!(read(html).get("Status"), Some("OPEN"), "{html}");
    }
}

#[test]
fn a_hidden_link_is_found_behind_those_that_are_seen() {
    let html = "<div hidden><a href=https://no.x>View</a><a href=https://y.x>More</a></div>\
                <a href=https://z.x>View</a>";
    let [seen, unseen] = render(html, 1 << 20);
    assert_eq!(seen.links, [("View".to_owned(), "https://z.x".to_owned())]);
    assert!(
        unseen
            .links
            .contains(&("More".to_owned(), "https://y.x".to_owned()))
    );
}

#[test]
fn cells_that_only_make_room_part_no_pair() {
    let spacers = [
        "<td></td>",
        "<td>&nbsp;</td>",
        "<td><img src=x></td>",
        "<td width=1>\n</td>",
    ];
    for spacer in spacers {
        for row in [
            "<td>@</td><td>#</td>-",
            "-<td>@</td><td>#</td>",
            "-<td>@</td><td>#</td>-",
            "-<td>@</td>-<td>#</td>-",
            "<td>@</td>--<td>#</td>",
            "-<td>@:</td><td>#</td>",
            "-<td>@:</td>--<td>#</td>-",
            "-<td>@</td><td>:</td><td>#</td>-",
            "<td>Host:</td><td>a</td>-<td>@:</td><td>#</td>",
            "-<td>@:</td><td>#</td>-<td>Host:</td><td>a</td>-",
        ] {
            let row = row.replace('-', spacer);
            let row =
                |label, value| format!("<tr>{}</tr>", row.replace('@', label).replace('#', value));
            let title = "<tr><td colspan=5>Alert</td></tr>";
            let html = format!(
                "<table>{title}{}{}{}</table>",
                row("Note", "x"),
                row("Message", "Status: down"),
                row("Status", "OPEN")
            );
            assert_eq!(read(&html).readings("Status"), ["OPEN"], "{html}");
            assert_eq!(read(&html).get("Message"), Some("Status: down"), "{html}");
        }
    }
}

#[test]
fn the_columns_of_a_list_are_no_pairs() {
    for html in [
        "<table><tr><th></th><th>Before</th><th>After</th></tr>\
         <tr><td>Status</td><td>OK</td><td>CRIT</td></tr></table>",
        "<table><tr><td>web1</td><td>OK</td><td>up</td><td></td></tr>\
         <tr><td>web2</td><td></td><td></td><td>down</td></tr></table>",
        "<table><tr><td></td><td>a</td><td></td><td>b</td></tr>\
         <tr><td>c</td><td></td><td>d</td><td></td></tr></table>",
    ] {
        assert_eq!(pairs(html), [], "{html}");
    }
}

#[test]
fn a_value_may_stand_below_its_label() {
    for html in [
        "<div>Status:</div><div>OPEN</div>",
        "<b>Status:</b><br>OPEN<br>",
        "<p><b>Status:</b></p><p>OPEN</p><p>Host: a</p>",
        "<p>Status:<br><br>OPEN</p>",
        "<table><tr><td>Status:</td></tr><tr><td>OPEN</td></tr></table>",
        "<table><tr><td><b>Host:</b><br>web1</td><td><b>Status:</b><br>OPEN</td>\
         <td>Team:<br>x</td></tr></table>",
        "<pre>Status:\n  OPEN\n</pre>",
    ] {
        assert_eq!(read(html).readings("Status"), ["OPEN"], "{html}");
    }
    for html in [
        "<table><tr><td>Status:</td><td></td></tr><tr><td>All is well</td></tr></table>",
        "<dl><dt>Status:<dd></dl><p>All is well</p>",
        "<p>Status:</p><table><tr><td>web1</td><td>down</td></tr></table>",
    ] {
        assert_eq!(read(html).get("Status"), Some(""), "{html}");
    }
}

#[test]
fn preformatted_text_has_its_tabs_and_lines() {
    for begin in [
        "<pre>",
        "<pre class=x>",
        "<div style=\"white-space: pre-wrap\">",
        "<td style='white-space:pre'>",
    ] {
        for text in [
            "ID\t7\r\nStatus\tOPEN\r\n",
            "ID: 7\nStatus: OPEN",
            "ID:\t\t7\nStatus\t\t: OPEN\n",
        ] {
            let html = format!("{begin}{text}");
            assert_eq!(read(&html).get("Status"), Some("OPEN"), "{html}");
            assert_eq!(read(&html).get("ID"), Some("7"), "{html}");
        }
    }
}

/// Four times the nesting takes about four times as long, not sixteen times.
#[test]
fn no_nesting_takes_long() {
    let shapes: [(&str, &str, &str); 6] = [
        ("", "<div style=\"display:none\">", ""),
        ("", "<b>", "</i>"),
        ("", "<p><span>", ""),
        ("", "<table><tr><td><td>a<td>b", ""),
        ("<table>", "<tr><td><td>a<td>b", ""),
        ("<tr>", "<td>a:<br>b", ""),
    ];
    for (begin, open, close) in shapes {
        let least = |times: usize| {
            let html = [begin, &open.repeat(times), &close.repeat(times)].concat();
            let taken = || {
                let begun = std::time::Instant::now();
                render(&html, 1 << 20);
                begun.elapsed()
            };
            (0..3).map(|_| taken()).min().unwrap()
        };
        let (few, many) = (least(5_000), least(20_000));
        assert!(many < few * 10, "{open}: {few:?}, {many:?}");
    }
}

#[test]
fn no_table_has_more_pairs_kept_than_any_text() {
    let row = |n: usize| format!("<tr><td><td>label {n}<td>value");
    let html = "<table>".to_owned() + &(0..MAX_PAIRS + 10).map(row).collect::<String>();
    let [seen, _] = render(&html, 1 << 20);
    assert_eq!(seen.pairs.said.len(), MAX_PAIRS);
}
