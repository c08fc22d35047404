use super::*;

fn names(header: &str) -> Vec<Result<String, String>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields(header.as_bytes())
        .map(|field| field.map(|f| text(f.name)).map_err(text))
        .collect()
}

#[test]
fn a_header_ends_at_the_first_empty_line_of_either_kind() {
    assert_eq!(split(b"A: 1\r\n\r\nbody"), (&b"A: 1\r\n"[..], &b"body"[..]));
    assert_eq!(
        split(b"A: 1\n\nbody\r\n\r\n"),
        (&b"A: 1\n"[..], &b"body\r\n\r\n"[..])
    );
    assert_eq!(split(b"\r\nbody"), (&b""[..], &b"body"[..]));
    assert_eq!(split(b"A: 1"), (&b"A: 1"[..], &b""[..]));
    assert_eq!(split(b""), (&b""[..], &b""[..]));
    assert_eq!(
        split(b"A: 1\r\r\n\r\r\nbody"),
        (&b"A: 1\r\r\n"[..], &b"body"[..])
    );
    assert_eq!(
        split(b"A: 1\r\n\rB: 2\r\n"),
        (&b"A: 1\r\n\rB: 2\r\n"[..], &b""[..])
    );
}

#[test]
fn html_is_no_header_where_the_empty_line_is_missing() {
    for html in [&b"<html>\n\n"[..], b"<!DOCTYPE html>", b"<p>a@b\r\n\r\n"] {
        let entity = [b"A: 1\n", html].concat();
        assert_eq!(
            split(&entity),
            (&b"A: 1\n"[..], html),
            "{}",
            html.escape_ascii()
        );
    }
    let multipart = b"A: x; boundary=\"b1\"\n--b1\nB: 1\n\n";
    assert_eq!(split(multipart).1, b"--b1\nB: 1\n\n");
    assert_eq!(
        split(b"A: x; boundary=b1\n--b2\n--- external ---\nB: 1\n\nx").1,
        b"x"
    );
    for named in [
        "boundary=b1",
        "Boundary=\"b1\"; charset=x",
        "BOUNDARY = \"b1\"",
        "boundary=\n\t\"b1\"",
        "boundary=\"\"b1\"\"",
        "boundary*0=b1",
        "boundary=b1 (a comment)",
        "boundary=a; boundary=b1",
    ] {
        let multipart = format!("A: x; {named}\nB: 1\n--b2\n--b1\nC: 1\n\n");
        assert_eq!(
            split(multipart.as_bytes()).1,
            b"--b1\nC: 1\n\n",
            "{multipart}"
        );
    }
    assert_eq!(
        split_part(b"A: 1\nPGh0bWw+\nPGh0bWw+\n\nx"),
        (&b"A: 1\n"[..], &b"PGh0bWw+\nPGh0bWw+\n\nx"[..])
    );
    assert_eq!(
        split_part(b"A: 1\n 2\n\nx"),
        (&b"A: 1\n 2\n"[..], &b"x"[..])
    );
    for html in ["<b>[EXTERNAL]</b>\n", "<p>\nTake care:\n</p>\n"] {
        for header in [
            "",
            "From: a@b\nTo: c@d\n",
            "From: a@b\nDate: x\nMessage-ID: y\n",
        ] {
            let mail = format!("{header}{html}Subject: x\nMIME-Version: 1.0\n\n<p>body");
            assert_eq!(split_mail(mail.as_bytes()).1, b"<p>body", "{mail}");
            assert_eq!(split(mail.as_bytes()).0, header.as_bytes(), "{mail}");
        }
    }
    for html in [
        "<p>\nSubject: y\nFrom: c@d\n\n",
        "<p>\n\nDate: x\n",
        "<p>\nB: 1\n\n",
    ] {
        let mail = format!("From: a@b\nSubject: x\n{html}");
        assert_eq!(split_mail(mail.as_bytes()).1, html.as_bytes(), "{mail}");
    }
    assert_eq!(
        split(b"A: <a@b>\n<c@d>\nB: 2\n\nx"),
        (&b"A: <a@b>\n<c@d>\nB: 2\n"[..], &b"x"[..])
    );
}

#[test]
fn what_stands_before_a_parts_fields_is_passed_over() {
    let part = "Content-Type: text/html\r\nX: y\r\n\r\n<p>";
    for before in [
        "",
        "\u{feff}",
        "[EXTERNAL]\r\n",
        "Take care of links\n",
        "\u{feff}-- x\r\n",
    ] {
        let odd = format!("{before}{part}");
        assert_eq!(
            split_part(odd.as_bytes()),
            split_part(part.as_bytes()),
            "{odd:?}"
        );
    }
    for text in [
        "\r\nContent-Type: x\r\n",
        "Hello\r\nNote: x\r\n",
        "Hello\r\n\r\nContent-Type: x",
    ] {
        let (header, body) = split_part(text.as_bytes());
        assert!(
            header.is_empty() && text.ends_with(std::str::from_utf8(body).unwrap()),
            "{text:?}"
        );
        assert!(body.len() + 2 >= text.len(), "{text:?}");
    }
}

#[test]
fn folded_lines_belong_to_their_field() {
    assert_eq!(
        names("A: 1\r\n 2\r\n\t3\r\nB : x\r\n"),
        [Ok("A".into()), Ok("B ".into())]
    );
    assert_eq!(
        first(b"A: 1\r\n 2\r\nB: x\r\n", b"a"),
        Some(&b" 1\r\n 2\r\n"[..])
    );
}

#[test]
fn lines_without_a_name_are_no_fields() {
    assert_eq!(
        names("A: 1\nnonsense\n"),
        [Ok("A".into()), Err("nonsense\n".into())]
    );
    assert_eq!(names(" A: 1\n"), [Err(" A: 1\n".into())]);
    assert_eq!(names("Fr om: 1\n"), [Err("Fr om: 1\n".into())]);
}

#[test]
fn only_a_field_given_once_is_the_only_one() {
    assert_eq!(only(b"A: 1\nB: 2\n", b"a"), Some(&b" 1\n"[..]));
    assert_eq!(only(b"A: 1\nB: 2\na : 3\n", b"a"), None);
}

#[test]
fn what_programs_read_differently_is_refused() {
    for header in [
        &b"From: a\r\nTo: b\r\n"[..],
        b"From me Thu Mar 24\nTo: b\n",
        b"To: b\nFrom me\n: x\nno field\n",
        b"From: a\r\nSubject: one\rtwo\r\n",
        b"From: a\r\nSubject: one\rTo: two\r\n",
    ] {
        assert_eq!(check(header), Ok(()), "{}", header.escape_ascii());
    }
    for header in [
        &b"From: x@evil\rFrom: y\r\n"[..],
        b"Subject: one\r\rFrom: y\r\n",
        b"Subject: one\rContent-Type: text/html\r\nFrom: y\r\n",
        b"From: a\r <y>\r\n",
    ] {
        assert!(
            check(header).unwrap_err().contains("carriage return"),
            "{}",
            header.escape_ascii()
        );
    }
    assert!(
        check("A: b\n".repeat(1_001).as_bytes())
            .unwrap_err()
            .contains("1000 fields")
    );
    assert!(
        check(format!("A: {}\n", "b".repeat(300_000)).as_bytes())
            .unwrap_err()
            .contains("bytes long")
    );
}
