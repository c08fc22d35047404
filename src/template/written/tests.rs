use super::*;

fn read(text: &str, format: Option<&str>) -> Result<String, String> {
    parse(text, format, &TimeZone::UTC).map(|time| time.to_string())
}

#[test]
fn a_time_is_read_as_it_is_written() {
    let at = "2026-11-28T04:10:00Z";
    for (text, format) in [
        ("2026-11-28T04:10:00Z", None),
        ("2026-11-28T05:10:00+01:00", None),
        ("2026-11-28 04:10:00", None),
        ("2026-11-28 04:10:00 UTC", None),
        ("2026-11-28 05:10:00 CET", None),
        ("2026-11-28 05:10:00 (CET)", None),
        ("2026-11-28 04:10:00 +0000", None),
        ("2026-11-28 05:10:00 +01:00", None),
        ("2026-11-28 05:10:00 Europe/Berlin", None),
        ("2026-11-28 05:10 Europe/Berlin", Some("%Y-%m-%d %H:%M %Q")),
        ("Sat, 28 Nov 2026 04:10:00 +0000", None),
        ("Sat, 28 Nov 2026 05:10:00 +0100", None),
        ("1795839000", None),
        ("1795839000000", None),
        (
            "Saturday 28 November, 2026 04:10:00 UTC",
            Some("%A %d %B, %Y %H:%M:%S UTC"),
        ),
        (
            "Monday 28 November, 2026 04:10:00 UTC",
            Some("%A %d %B, %Y %H:%M:%S UTC"),
        ),
        ("Mon, 28 Nov 2026 04:10:00 +0000", None),
        ("28.11.2026 04:10", Some("%d.%m.%Y %H:%M")),
        (
            "Sat Nov 28 05:10:00 CET 2026",
            Some("%a %b %d %H:%M:%S %Z %Y"),
        ),
        ("2026-11-28 06:10:00 CEST", Some("%Y-%m-%d %H:%M:%S %Z")),
        ("2026-11-28 05:10:00 +0100", Some("%Y-%m-%d %H:%M:%S %z")),
        ("04:10:00 on 2026.11.28", Some("%H:%M:%S on %Y.%m.%d")),
        ("2026-11-28 09:40 +05:30", Some("%Y-%m-%d %H:%M %z")),
        ("2026-11-28T05:10:00+01:00", Some("%Y-%m-%dT%H:%M:%S%z")),
        ("2026-11-28 04:10 utc", Some("%Y-%m-%d %H:%M %Z")),
        ("2026-11-28 04:10:00 utc", None),
        ("Sat Nov 28 04:10:00 2026", Some("%c")),
        ("2026-11-28 04:10:00", Some("%F %X")),
        ("11/28/26 04:10:00 AM", Some("%x %r")),
        ("04:10 (GMT) Sat 28 Nov 2026", Some("%H:%M %Z %a %d %b %Y")),
    ] {
        assert_eq!(read(text, format).as_deref(), Ok(at), "{text} {format:?}");
    }
    assert_eq!(
        read("28 Nov 2026", Some("%d %b %Y")).as_deref(),
        Ok("2026-11-28T00:00:00Z")
    );
    assert!(read("2026-11-28 04:10 %", Some("%Y-%m-%d %H:%M %%")).is_ok());
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    assert_eq!(
        parse("28.11.2026 05:10", Some("%d.%m.%Y %H:%M"), &berlin)
            .unwrap()
            .to_string(),
        at
    );
}

#[test]
fn an_abbreviation_is_what_the_given_zone_means_by_it() {
    for (word, zone, expected) in [
        // Abbreviations with the meaning that they have in RFC 2822, or everywhere.
        ("EST", "UTC", "10:10"),
        ("EDT", "UTC", "09:10"),
        ("CST", "UTC", "11:10"),
        ("CDT", "UTC", "10:10"),
        ("MST", "UTC", "12:10"),
        ("MDT", "UTC", "11:10"),
        ("PST", "UTC", "13:10"),
        ("PDT", "UTC", "12:10"),
        ("UT", "UTC", "05:10"),
        ("gmt", "Europe/Berlin", "05:10"),
        ("CST", "America/Chicago", "11:10"),
        ("CST", "Europe/Berlin", "11:10"),
        ("CET", "America/Chicago", "04:10"),
        // Abbreviations that several countries use: the given zone decides.
        ("CST", "Asia/Shanghai", "21:10"),
        ("BST", "Europe/London", "04:10"),
        ("IST", "Asia/Kolkata", "23:40"),
        ("IST", "Asia/Jerusalem", "03:10"),
        ("ist", "Europe/Dublin", "04:10"),
        // An abbreviation that no other zone knows means the given one.
        ("HNEC", "Europe/Paris", "04:10"),
    ] {
        let zone = TimeZone::get(zone).unwrap();
        for (text, format) in [
            (format!("2026-11-28 05:10:00 {word}"), None),
            (
                format!("2026-11-28 05:10:00 {word}"),
                Some("%Y-%m-%d %H:%M:%S %Z"),
            ),
            (
                format!("Sat Nov 28 05:10:00 {word} 2026"),
                Some("%a %b %d %H:%M:%S %Z %Y"),
            ),
            (
                format!("05:10 AM ({word}) on 28.11.2026"),
                Some("%I:%M %p (%Z) on %d.%m.%Y"),
            ),
        ] {
            let read = parse(&text, format, &zone).map(|time| time.to_string());
            let read = read.unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(
                read.get(11..16),
                Some(expected),
                "{text} {format:?} {zone:?}"
            );
        }
    }
    for word in ["IST", "BST", "HNEC"] {
        let text = format!("2026-11-28 05:10:00 {word}");
        assert!(read(&text, None).is_err());
        let why = read(&text, Some("%Y-%m-%d %H:%M:%S %Z")).unwrap_err();
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn a_half_of_the_day_is_no_zone() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    for half in ["AM", "PM", "pm", "p", "(PM)"] {
        let text = format!("2026-11-28 05:10:00 {half}");
        for format in [None, Some("%Y-%m-%d %H:%M:%S %Z")] {
            assert!(parse(&text, format, &berlin).is_err(), "{text} {format:?}");
        }
    }
    let told = Some("%Y-%m-%d %I:%M:%S %p %Z");
    let time = parse("2026-11-28 05:10:00 PM CET", told, &berlin).unwrap();
    assert_eq!(time.to_string(), "2026-11-28T16:10:00Z");
}

#[test]
fn a_text_that_is_too_long_for_a_time_is_not_looked_through() {
    let text = "CET ".repeat(100_000) + "2026-11-28 05:10:00";
    for format in [None, Some("%Y-%m-%d %H:%M:%S %Z"), Some("%Y")] {
        let why = read(&text, format).unwrap_err();
        assert!(why.contains("too long"), "{why}");
        assert!(why.len() < LONGEST, "{why}");
    }
}

#[test]
fn seconds_since_the_epoch_are_exact() {
    for (text, expected) in [
        ("1795687200", "2026-11-26T10:00:00Z"),
        ("1795687200.", "2026-11-26T10:00:00Z"),
        ("1795687200.123", "2026-11-26T10:00:00.123Z"),
        ("1795687200.1", "2026-11-26T10:00:00.1Z"),
        ("1795687200.000000001", "2026-11-26T10:00:00.000000001Z"),
        ("1795687200.1234567899", "2026-11-26T10:00:00.123456789Z"),
        ("1795687200123", "2026-11-26T10:00:00.123Z"),
        ("1795687200123.456", "2026-11-26T10:00:00.123456Z"),
    ] {
        assert_eq!(read(text, None).as_deref(), Ok(expected), "{text}");
    }
    for millisecond in 0..1_000 {
        let text = format!("1795687200.{millisecond:03}");
        let time = parse(&text, None, &TimeZone::UTC).unwrap();
        assert_eq!(time.as_millisecond() % 1_000, millisecond, "{text}");
        assert_eq!(time.subsec_nanosecond() % 1_000_000, 0, "{text}");
    }
    for text in [
        "1795687200.12.3",
        "179568720０",
        "1795687200.1e3",
        ".5",
        "-1795687200",
    ] {
        assert!(read(text, None).is_err(), "{text}");
    }
}

#[test]
fn what_is_no_time_is_told() {
    for (text, format) in [
        ("", None),
        ("yesterday", None),
        ("2026", None),
        (
            "Sat Nov 28 05:10:00 IST 2026",
            Some("%a %b %d %H:%M:%S %Z %Y"),
        ),
        ("28.11.2026", Some("%Y-%m-%d")),
    ] {
        assert!(
            read(text, format).unwrap_err().contains("is not a"),
            "{text}"
        );
    }
    assert!(check("%d %").is_err() && check("%é").is_err());
    assert!(check("%A %d %B, %Y %H:%M:%S %Z").is_ok());
}
