//! Half a megabyte of HTML made to be slow to read, each shape with a true alert behind it.

use super::SENDER;

const SIZE: usize = 512 << 10;

/// A shape's name, and its mail.
pub fn mails() -> Vec<(String, Vec<u8>)> {
    let shapes: &[(&str, &str)] = &[
        ("nested <div>", "<div>"),
        ("unclosed formatting", "<b><i><u><a href=x>"),
        ("unclosed table cells", "<table><tr><td>"),
        ("lists", "<ul><li>"),
        ("<p> never opened", "</p>"),
        ("end tags alone", "</div></b></table>"),
        ("unclosed comments", "<!--"),
        ("comments", "<!-- -->"),
        ("CDATA", "<![CDATA["),
        ("open angle brackets", "<"),
        ("unfinished tags", "<script"),
        ("unfinished tags with an id", "<script id=incident-data"),
        ("scripts with another id", "<script id=x></script>"),
        (
            "scripts with an id in entities",
            "<script id=&#x69;></script>",
        ),
        ("scripts with the id", "<script id=incident-data></script>"),
        ("scripts without an end", "<script id=incident-data>"),
        (
            "script text that looks like comments",
            "<script><!--<script>",
        ),
        ("svg and math in turn", "<svg><math>"),
        ("select and templates", "<select><template>"),
        ("text elements", "<textarea></title>"),
        ("entities", "&amp;&#x41;&notit;"),
        ("entities without an end", "&#"),
        ("NULs", "\0"),
    ];
    let mut mails: Vec<_> = shapes
        .iter()
        .map(|(name, unit)| ((*name).to_owned(), mail(&unit.repeat(SIZE / unit.len()))))
        .collect();
    let attributes = |unit: fn(usize) -> String| {
        let mut attributes = String::from("<p");
        for number in 0.. {
            if attributes.len() > SIZE {
                break;
            }
            attributes.push_str(&unit(number));
        }
        attributes + ">"
    };
    mails.push((
        "one tag with an attribute, over and over".into(),
        mail(&attributes(|_| " a=b".into())),
    ));
    mails.push((
        "one tag with attributes that differ".into(),
        mail(&attributes(|number| format!(" a{number}=b"))),
    ));
    mails.push(("a script tag with attributes that differ".into(), {
        mail(&attributes(|number| format!(" a{number}")).replacen(
            "<p",
            "<script id=incident-data",
            1,
        ))
    }));
    mails.push((
        "a script of 256 KiB of brackets".into(),
        script(&"[".repeat(256 << 10)),
    ));
    mails.push(("a script of 256 KiB of keys".into(), {
        let keys: Vec<String> = (0..16_000)
            .map(|number| format!("\"k{number:08}\":1"))
            .collect();
        script(&format!("{{{}}}", keys.join(",")))
    }));
    mails.push(("16 scripts of 32 KiB".into(), {
        let scripts = format!(
            "<script type=application/json id=incident-data>[{}0]</script>",
            "0,".repeat(16_300)
        );
        mail(&scripts.repeat(15))
    }));
    mails.push((
        "quoted-printable, nothing but escapes".into(),
        { head("quoted-printable") + &"=3C=\r\n".repeat(SIZE / 6) }.into(),
    ));
    mails.push((
        "multiparts whose boundaries never come".into(),
        {
            let part = |number| {
                format!(
                    "--{number}\r\nContent-Type: multipart/mixed; boundary={}\r\n\r\n",
                    number + 1
                )
            };
            let parts: String = (0..SIZE / 60).map(part).collect();
            format!("From: {SENDER}\r\nContent-Type: multipart/mixed; boundary=0\r\n\r\n{parts}")
        }
        .into(),
    ));
    mails
}

fn head(encoding: &str) -> String {
    format!(
        "From: {SENDER}\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    )
}

fn mail(html: &str) -> Vec<u8> {
    let alert = "<script type=application/json id=incident-data>{}</script>";
    format!("{}{html}{alert}", head("8bit")).into()
}

fn script(json: &str) -> Vec<u8> {
    format!(
        "{}<script type=application/json id=incident-data>{json}</script>",
        head("8bit")
    )
    .into()
}
