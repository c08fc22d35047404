use super::*;

fn text(bytes: &[u8], label: &str) -> String {
    decode(bytes, Some(label))
        .unwrap_or_else(|why| panic!("{label}: {why}"))
        .text
        .into_owned()
}

#[test]
fn utf_16_is_read_in_either_byte_order_with_its_mark_and_without() {
    let text = "State: über ☃\n";
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = |mark: [u8; 2], text: &[u8]| [&mark[..], text].concat();

    for (label, bytes) in [
        ("utf-16", &big),
        ("UTF-16", &little),
        ("utf16", &marked([0xfe, 0xff], &big)),
        ("utf-16", &marked([0xff, 0xfe], &little)),
        ("utf-16be", &big),
        ("utf-16be", &marked([0xfe, 0xff], &big)),
        ("utf-16le", &little),
        ("utf-16le", &marked([0xff, 0xfe], &little)),
    ] {
        assert_eq!(
            decode_all(bytes, Some(label)),
            text,
            "{label}: {bytes:02x?}"
        );
    }
}

#[test]
fn a_character_set_is_known_by_all_its_names() {
    for (bytes, names, expected) in [
        (
            &b"\xc3\xbc"[..],
            "utf-8 UTF8 utf_8 utf-8; \"utf-8\" 'utf-8' utf-8\" =utf-8 utf-8(x) cp65001 xutf8",
            "ü",
        ),
        (
            b"\xfc",
            "iso-8859-1 iso-8859-1; ISO_8859-1 iso8859-1 iso88591 8859_1 latin1 latin-1 \
             iso-latin-1 l1",
            "ü",
        ),
        (
            b"\xfc",
            "cp1252 windows-1252 win-1252 windows1252 x-cp1252 1252 \"windows-1252\" ms-ansi \
             unknown-8bit x-unknown unknown binary 8bit default ansi_x3.110-1983 \
             x-user-defined",
            "ü",
        ),
        (b"\xa4", "iso-8859-15 iso8859-15 iso_8859_15 cp28605", "€"),
        (b"\xb4\xde", "x-windows-949 x-euc-kr cp51949", "달"),
        (b"\xa5\xab", "cp51932 cp20932", "カ"),
        (b"\xef", "cp20866", "О"),
        (b"\xa4", "cp21866", "є"),
        (b"\xc8\xd5", "cp54936 gb18030-2022", "日"),
        (b"\x8e", "ibm-866 cp866", "О"),
        (b"\x83\x5c", "x-sjis-cp932", "ソ"),
        (
            b"\xa4\xa4",
            "big5 Big5; cn-big5 cp950 big5-hkscs x-x-big5",
            "中",
        ),
        (
            b"\xd6\xd0",
            "gb2312 gbk GB_2312-80 cp936 ms936 gb18030 euc-cn x-gbk",
            "中",
        ),
        (
            b"\x93\xfa",
            "shift_jis shift-jis sjis x-sjis cp932 ms932 windows-31j",
            "日",
        ),
        (b"\xc6\xfc", "euc-jp eucjp x-euc-jp", "日"),
        (
            b"\xc7\xd1",
            "euc-kr euckr ks_c_5601-1987 cp949 ksc5601 uhc",
            "한",
        ),
        (b"\xc1", "koi8-r koi8_r koi8", "а"),
        (
            b"\x81",
            "cp437 IBM437 437 cspc8codepage437 x-cp437 ibm-437;",
            "ü",
        ),
        (
            b"\x81\xc4",
            "cp850 ibm850 850 IBM-850 cspc850multilingual \"cp850\"",
            "ü─",
        ),
        (
            b"\xd5",
            "cp858 ibm00858 ccsid00858 pc-multilingual-850+euro",
            "€",
        ),
        (b"\x9f", "cp852 ibm852 852 cspcp852", "č"),
        (b"\x8d", "cp857 ibm857 csibm857", "ı"),
        (b"\x80", "cp855 ibm855", "ђ"),
        (b"\x9b", "cp865 cp861 ibm861", "ø"),
        (b"\xb9", "cp1250 ms-ee windows1250 x-cp1250", "ą"),
        (b"\xe0", "ms-cyrl cp1251", "а"),
        (b"\x80", "x-mac-cyrillic", "А"),
        (b"\x8a", "macintosh x-mac-roman mac", "ä"),
    ] {
        for name in names.split(' ') {
            assert_eq!(text(bytes, name), expected, "{name}");
        }
    }
    assert_eq!(text(b"\xc3\xbc", "us-ascii"), "ü");
    assert_eq!(text(b"\xc3\xbc", ""), "ü");
}

#[test]
fn what_is_not_of_its_character_set_is_read_as_windows_1252() {
    for (label, bytes, expected) in [
        ("", &b"K\xf6ln \x80"[..], "Köln €"),
        ("us-ascii", b"K\xe4ln", "Käln"),
        ("utf-8", b"\xf6", "ö"),
        ("x-unknown", b"K\xf6ln", "Köln"),
        ("x-nobodys", b"K\xf6ln", "Köln"),
        ("cp857", b"\x81\xd5", "üÕ"),
        // This text is cut within a character.
        ("utf-8", b"Gr\xc3\xb6\xc3\x9fe: \xe6\x97", "Größe: æ—"),
        ("euc-jp", b"\xc6\xfc K\xf6ln", "日 Köln"),
        ("big5", b"\xa4\xa4 \xff<b>", "中 ÿ<b>"),
        ("windows-1253", b"\xe1\xaa", "αª"),
    ] {
        assert_eq!(text(bytes, label), expected, "{label} {bytes:02x?}");
        assert_eq!(decode_all(bytes, Some(label)), expected, "{label}");
    }
    assert_eq!(
        decode_all(b"\x1b$BF|\x1b(B K\xf6ln", Some("iso-2022-jp")),
        "日 Köln"
    );
}

/// However bytes are read, ASCII stays what it was, and two bytes of it never become one.
#[test]
fn no_markup_appears_and_no_byte_is_lost() {
    let markup = |text: &str| text.matches(|c: char| c.is_ascii()).collect::<String>();
    for label in [
        "",
        "utf-8",
        "x-nobodys",
        "windows-1252",
        "koi8-r",
        "windows-1253",
        "cp437",
        "cp850",
        "ibm852",
    ] {
        let mut seen = std::collections::HashSet::new();
        for byte in 0x80..=0xff_u8 {
            let read = text(&[b'<', byte, b'b', b'>'], label);
            assert_eq!(markup(&read), "<b>", "{label} {byte:x}");
            assert!(seen.insert(read), "{label} {byte:x}");
        }
    }
    for label in ["gbk", "gb18030", "big5", "shift_jis", "euc-kr", "euc-jp"] {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap();
        for high in 0x80..=0xff_u8 {
            for low in [b'<', b'-', b'"', 0x80, 0xff] {
                let bytes = [high, low, b'<', b'b', b'>'];
                let before = encoding.decode_without_bom_handling(&bytes).0;
                assert_eq!(
                    markup(&text(&bytes, label)),
                    markup(&before),
                    "{label} {bytes:x?}"
                );
            }
        }
    }
}

#[test]
fn what_hides_ascii_is_not_read() {
    for name in [
        "utf-7",
        "UTF7",
        "unicode-1-1-utf-7",
        "x-unicode-2-0-utf-7",
        "utf-16",
        "utf-16le",
        "utf-32",
        "ucs-2",
        "unicode",
        "iso-10646-ucs-2",
        "iso-2022-jp",
        "ISO-2022-JP-2",
        "iso-2022-kr",
        "csISO2022JP",
        "hz-gb-2312",
        "ebcdic-us",
        "ibm037",
        "\"iso-2022-jp\"",
        "utf_16",
        "cp50220",
        "cp50221",
        "replacement",
    ] {
        assert!(decode(b"x", Some(name)).is_err(), "{name}");
    }
}

/// No text is lost because of the spelling of its character set's name.
#[test]
fn a_text_is_shown_whatever_its_character_set_is_called() {
    let wide: Vec<u8> = "State: ü"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    for (names, bytes, expected) in [
        (
            "utf-7 UTF7 unicode-1-1-utf-7 \"utf-7\" x-utf-7 csUTF7",
            &b"State: +APw-"[..],
            "State: ü",
        ),
        (
            "utf-16 utf_16 ucs-2 iso-10646-ucs-2 unicode csUnicode utf-16be \"utf-16\"",
            &wide,
            "State: ü",
        ),
        (
            "iso-2022-jp ISO-2022-JP-2 \"iso-2022-jp\" iso-2022-jp-ms cp50221 csISO2022JP",
            b"State: \x1b$BF|\x1b(B",
            "State: 日",
        ),
        (
            "iso-2022-kr hz-gb-2312 iso-2022-cn utf-32 x-nobodys",
            b"State: OK",
            "State: OK",
        ),
        ("cp437 ibm437 850 ibm00858", b"State: \x81", "State: ü"),
    ] {
        for name in names.split(' ') {
            assert_eq!(decode_all(bytes, Some(name)), expected, "{name}");
        }
    }
}

#[test]
fn of_an_unknown_one_the_ascii_is_read_and_its_name_told() {
    let read = decode(b"a\xfc", Some("x-Nobodys")).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(
        (read.text.as_ref(), read.unknown.as_deref()),
        ("aü", Some("x-nobodys"))
    );
    assert_eq!(text("aü".as_bytes(), "x-nobodys"), "aü");
    let nameless = decode(b"a", Some("unknown-8bit")).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(nameless.unknown, None, "it names none");
    assert_eq!(text(b"\xff\xfea", "windows-1252"), "ÿþa");
}
