//! Half a megabyte made to be slow to find pairs, groups and items in, from a sender of a profile.

pub const SENDER: &str = "hostile@example.com";

/// Several ways to go on at every place, as far as an expression can have them.
pub const EACH: &str = "(?m)^(?:- )*(?<id>(?:[a-z]+ ?)+) (?<state>\\w+)$";

const SIZE: usize = 512 << 10;

/// What a mail is made of, over and over.
const TEXT: &[(&str, &str)] = &[
    ("pairs of one label", "a: b\n"),
    ("labels without a value", "label:\n"),
    ("colons", ":"),
    ("colons, a line each", ":\n"),
    ("equals signs", "="),
    ("tabs", "\t"),
    ("tabs, a line each", "\tx\t\n"),
    ("bullets", "- * • "),
    ("stars", "*"),
    ("spaces", " "),
    ("line ends", "\n"),
    ("one line of words", "word "),
    ("one line without a break", "a"),
    (
        "label of sixty characters and no mark",
        "0123456789012345678901234567890123456789012345678901234567890\n",
    ),
    ("quoted lines", "> > > a: b\n"),
    ("items", "- a on\n"),
    ("items of many words", "- - - a b c d e f g h on\n"),
    (
        "items that do not end",
        "- a b c d e f g h i j k l m n o p q r s t u v w x y z ",
    ),
    ("sections", "part:\n"),
    ("what an expression begins with", "State: x y "),
    ("letters of four bytes", "\u{1f525}"),
    ("NULs", "\0"),
];

const HTML: &[(&str, &str)] = &[
    ("rows of two cells", "<tr><td>a<td>b"),
    ("rows of many cells", "<td>a"),
    ("nested tables", "<table><tr><td>"),
    (
        "nested tables with a pair each",
        "<table><tr><td>a<td>b<table><tr><td>",
    ),
    (
        "tables that are closed and never opened",
        "</table></tr></td>",
    ),
    ("terms", "<dt>a"),
    ("terms with descriptions", "<dl><dt>a<dd>b"),
    ("descriptions alone", "<dd>b"),
    ("links", "<a href=x>y</a>"),
    ("links without an end", "<a href=x>y"),
    ("nested <div>", "<div>"),
    ("lines", "<br>"),
    ("preformatted text", "<pre>\n"),
    ("paragraphs with a pair each", "<p>a: b"),
    ("entities", "&amp;&#x41;&notit;"),
    ("open angle brackets", "<"),
    ("comments", "<!-- -->"),
    ("scripts", "<script>a: b</script>"),
];

/// A shape's name, and its mail.
pub fn mails() -> Vec<(String, Vec<u8>)> {
    let of_text = TEXT.iter().map(|(name, unit)| {
        let body = unit.repeat(SIZE / unit.len());
        (format!("text: {name}"), mail("text/plain", &body))
    });
    let flowed = TEXT.iter().map(|(name, unit)| {
        let body = unit.replace('\n', " \n");
        let body = body.repeat(SIZE / body.len());
        (
            format!("flowed: {name}"),
            mail("text/plain; format=flowed", &body),
        )
    });
    let of_html = HTML.iter().map(|(name, unit)| {
        let body = format!("<table>{}", unit.repeat(SIZE / unit.len()));
        (format!("html: {name}"), mail("text/html", &body))
    });
    let labels = || (0..).map(|number| format!("label {number}: {number}\n"));
    let labels: String = labels().take(SIZE / 22).collect();
    let parts = "--b\nContent-Type: text/plain; name=a\n\na: b\n".repeat(SIZE / 44);

    let mut all: Vec<_> = of_text.chain(flowed).chain(of_html).collect();
    all.push((
        "text: labels that differ".into(),
        mail("text/plain", &labels),
    ));
    all.push((
        "both: labels that differ".into(),
        mail(
            "multipart/alternative; boundary=b",
            &format!("--b\n\n{labels}--b\nContent-Type: text/html\n\n<pre>{labels}</pre>\n--b--\n"),
        ),
    ));
    let said = "<p>a: b".repeat(290);
    let part = format!("--b\nContent-Type: text/html\n\n{said}\n");
    let told: String = (0..1_000).map(|number| format!("a: {number}\n")).collect();
    all.push((
        "both: one label with many values, and again".into(),
        mail(
            "multipart/mixed; boundary=b",
            &format!("--b\n\n{told}a: b\n{}", part.repeat(SIZE / part.len())),
        ),
    ));
    all.push((
        "html: preformatted lines in a cell".into(),
        mail(
            "text/html",
            &format!("<table><tr><td>a<td><pre>b{}", "\n".repeat(SIZE)),
        ),
    ));
    all.push((
        "html: lines in a cell".into(),
        mail(
            "text/html",
            &format!("<table><tr><td>a<td>b{}", "<br>x".repeat(SIZE / 5)),
        ),
    ));
    all.push((
        "parts: attachments".into(),
        mail("multipart/mixed; boundary=b", &parts),
    ));
    all
}

fn mail(kind: &str, body: &str) -> Vec<u8> {
    format!(
        "From: {SENDER}\nSubject: alert\nMIME-Version: 1.0\nContent-Type: {kind}{}\n\n{body}",
        if kind.starts_with("multipart") {
            ""
        } else {
            "; charset=utf-8"
        }
    )
    .into()
}
