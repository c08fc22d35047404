use super::*;

const GENUINE: &str = "no-reply@am.atlassian.com";

fn judge(from: &str) -> Sender {
    read(
        format!("To: a@b\r\n{from}\r\nDate: x\r\n").as_bytes(),
        &[GENUINE.into()],
    )
}

#[test]
fn a_domain_stands_for_its_addresses_alone() {
    let judge = |from: &str| {
        let header = format!("From: {from}\r\n");
        read(header.as_bytes(), &["@example.com".into()])
    };
    for from in [
        "a@example.com",
        "B <b@EXAMPLE.com>",
        "\"x\" <c.d@example.com.>",
    ] {
        assert_eq!(judge(from), Sender::Configured, "{from}");
    }
    for from in [
        "a@sub.example.com",
        "a@notexample.com",
        "a@example.com.evil",
    ] {
        assert!(matches!(judge(from), Sender::Other(_)), "{from}");
    }
    for from in ["a@example.com, b@evil", "a@example.com <b@evil> <c@evil>"] {
        assert!(
            matches!(judge(from), Sender::Doubtful(_)),
            "{from}: {:?}",
            judge(from)
        );
    }
}

#[test]
fn one_address_is_the_sender_however_it_is_written() {
    for from in [
        "From: no-reply@am.atlassian.com",
        "from:no-reply@am.atlassian.com  ",
        "FROM: <no-reply@am.atlassian.com>",
        "From: Atlassian <no-reply@am.atlassian.com>",
        "From: Atlassian\r\n <no-reply@am.atlassian.com>",
        "From: Dr. Atlas Sian <no-reply@am.atlassian.com>",
        "From: \"Atlassian, Inc. (alerts) <x@y>\" <no-reply@am.atlassian.com>",
        "From: \"a \\\" b\" <no-reply@am.atlassian.com>",
        "From: =?UTF-8?Q?Atlassi=C3=A4n?= <no-reply@am.atlassian.com>",
        "From: Atlassiän <no-reply@am.atlassian.com>",
        "From: No-Reply@AM.Atlassian.COM",
        "From : no-reply@am.atlassian.com",
        "From: no-reply@am.atlassian.com\r\nFROM:  no-reply@am.atlassian.com ",
        "From: Atlassian, Inc. <no-reply@am.atlassian.com>",
        "From: Atlassian [Alerts] <no-reply@am.atlassian.com>",
        "From: Atlassian <Alerts> <no-reply@am.atlassian.com>",
        "From: Atlassian: Alerts <no-reply@am.atlassian.com>",
        "From: no-reply@am.atlassian.com <no-reply@am.atlassian.com>",
        "From: no-reply@am.atlassian.com, no-reply@am.atlassian.com",
        "From: Atlassian no-reply@am.atlassian.com",
        "From: Atlassian<no-reply@am.atlassian.com>",
        "From: alerts: no-reply@am.atlassian.com;",
        "From: alerts: Atlassian <no-reply@am.atlassian.com>;",
        "From: no-reply@am.atlassian.com (comment)",
        "From: no-reply@am.atlassian.com (x@evil.example)",
        "From: (a (nested \\) one)) no-reply@am.atlassian.com",
        "From: a(b) <no-reply@am.atlassian.com>",
        "From: no-reply (x) @am.atlassian.com",
        "From: <no-reply @am.atlassian.com>",
        "From: < no-reply@am.atlassian.com >",
        "From: <<no-reply@am.atlassian.com>>",
        "From: <mailto:no-reply@am.atlassian.com>",
        "From: no-reply@\r\n am.atlassian.com",
        "From: \"no-reply\"@am.atlassian.com",
        "From: <\"no-reply\"@am.atlassian.com>",
        "From: \"open <no-reply@am.atlassian.com>",
        "From: no-reply@am.atlassian.com.",
        "From: no-reply@am.atlassian.com>",
        "From: <no-reply@am.atlassian.com",
        "From: =?UTF-8?Q?Atlassian_<no-reply@am.atlassian.com>?=",
        "From: \"Atlassian\" no-reply@am.atlassian.com",
        "From: =?utf-8?q?a@b.c?= <no-reply@am.atlassian.com>",
        "From: =?utf-8?Q?=61@b.c?= =?utf-8?q?x@y?= <no-reply@am.atlassian.com>",
        "From: Atlassian [no-reply@am.atlassian.com]",
        "From: 'no-reply@am.atlassian.com' <no-reply@am.atlassian.com>",
        "From: Atlassian\u{7} <no-reply@am.atlassian.com>",
        "From: <no-reply@am.atlassian.com>\0",
    ] {
        assert_eq!(judge(from), Sender::Configured, "{from:?}");
    }
    let latin_1 = b"From: Atlassi\xe4n <no-reply@am.atlassian.com>\r\n";
    assert_eq!(read(latin_1, &[GENUINE.into()]), Sender::Configured);
}

#[test]
fn a_sender_among_others_is_doubtful() {
    for from in [
        "From: no-reply@am.atlassian.com\r\nFrom : x@evil.example",
        "From: x@evil.example\r\nFrom: no-reply@am.atlassian.com",
        "From: x@evil.example, no-reply@am.atlassian.com",
        "From: x@evil.example, Atlassian <no-reply@am.atlassian.com>",
        "From: <no-reply@am.atlassian.com> <x@evil.example>",
        "From: <no-reply@am.atlassian.com>, x@evil.example",
        "From: <x@evil.example> <no-reply@am.atlassian.com>",
        "From: x@evil.example <no-reply@am.atlassian.com>",
        "From: <@evil.example:no-reply@am.atlassian.com>",
        "From: a: no-reply@am.atlassian.com, x@evil.example;",
        "From: no-reply@am.atlassian.com@evil.example",
        "From: no-reply@am.atlassian.com\u{200b}",
        "From: no-reply@am. atlassian .com",
        "From: =?UTF-8?Q?no-reply=40am.atlassian.com?=",
        "From: =?UTF-8?B?bm8tcmVwbHlAYW0uYXRsYXNzaWFuLmNvbQ==?=",
        "From: <=?UTF-8?Q?no-reply?=@am.atlassian.com>",
        "From: <no-reply%40am.atlassian.com>",
        "From: no-reply&#64;am.atlassian.com",
        "From: <no-reply@am.atlassian.com?>",
        "From: Atlassian \u{ff1c}no-reply@am.atlassian.com\u{ff1e}",
        "From: \u{300c}no-reply@am.atlassian.com\u{300d}",
        "From: {no-reply@am.atlassian.com}",
        "From: `no-reply@am.atlassian.com`",
        "From: *no-reply@am.atlassian.com*",
        "From: <//no-reply@am.atlassian.com>",
        "From: Atlassian &lt;no-reply@am.atlassian.com&gt;",
        "From: x@evil.example\rFrom: no-reply@am.atlassian.com",
        "From: no-reply@am.atlassian.com\0.evil.example",
        "From: no-reply@am.atlassian\0.com",
    ] {
        assert!(
            matches!(judge(from), Sender::Doubtful(_)),
            "{from:?}: {:?}",
            judge(from)
        );
    }
    let flood = format!("From: {GENUINE}\r\n{}", "X: y\r\n".repeat(1_001));
    assert!(matches!(judge(&flood), Sender::Doubtful(why) if why.contains("1000 fields")));
}

#[test]
fn another_address_is_another_sender() {
    for from in [
        "From: x@evil.example",
        "From: a@b\r\nFrom: c@d",
        "From: \"no-reply@am.atlassian.com\" <x@evil.example>",
        "From: \"<no-reply@am.atlassian.com>\" <x@evil.example>",
        "From: no-reply@am.atlassian.com <x@evil.example>",
        "From: Atlassian, Inc. <x@evil.example>",
        "From: x@evil.example (no-reply@am.atlassian.com)",
        "From: =?utf-8?Q?=3Cno-reply=40am.atlassian.com=3E?= <x@evil.example>",
        "From: <no-reply@am.atl> <assian.com>",
        "From: no-reply@am.atlassian.com.evil.example",
        "From: xno-reply@am.atlassian.com",
        "From: no-reply@am.\u{430}tlassian.com",
        "From: no\u{2010}reply@am.atlassian.com",
        "From: no-reply%am.atlassian.com@evil.example",
        "From: \u{e9}no-reply@am.atlassian.com",
        "From: no-reply@am.atlassian.com\u{e9}",
        "From: no-reply.@am.atlassian.com",
        "From: no-reply+tag@am.atlassian.com",
        "From: {no-reply@am.atlassian.com} <x@evil.example>",
    ] {
        assert!(
            matches!(judge(from), Sender::Other(_)),
            "{from:?}: {:?}",
            judge(from)
        );
    }
}

#[test]
fn without_an_address_nobody_is_known() {
    for from in [
        "",
        "Sender: no-reply@am.atlassian.com",
        "From:",
        "From: <>",
        "From: Microsoft Exchange Server",
        "From: no-reply@@am.atlassian.com",
        "From: no-reply@am..atlassian.com",
        "From: <no-reply@[am.atlassian.com]>",
        "From: no-reply@",
    ] {
        assert!(
            matches!(judge(from), Sender::Unknown(_)),
            "{from:?}: {:?}",
            judge(from)
        );
    }
}

#[test]
fn the_sentence_says_what_is_odd() {
    let odd = |from: &str| check(from.as_bytes(), &[GENUINE.into()]).unwrap_err();
    assert_eq!(
        odd("From: x@example.com\n"),
        "it is from x@example.com, not from a sender of alerts.from"
    );
    assert!(odd("To: x\n").contains("no From header"));
    assert!(odd("From: a@b\nFrom: c@d\n").contains("more than one From"));
    assert!(odd("From: a@b, c@d\n").contains("exactly one"));
}

#[test]
fn an_empty_list_of_senders_knows_nobody() {
    assert!(matches!(
        read(b"From: no-reply@am.atlassian.com\n", &[]),
        Sender::Other(_)
    ));
}

#[test]
fn a_name_behind_the_address_leaves_its_domain_certain() {
    let domain_of = |from: &str| domain(format!("From: {from}\r\n").as_bytes());
    for from in [
        "a@b.example",
        "a@b.example (Name)",
        "a@B.example(Zoë of 2.1) ",
        "Name <a@b.example>",
        "Name <a@b.example> (Team)",
    ] {
        assert_eq!(domain_of(from).as_deref(), Some("b.example"), "{from}");
    }
    for from in [
        "a@b.example (x@c.example)",
        "a@b.example (x) (y)",
        "a@b.example ((x))",
        "a@b.example (\"x\")",
        "a@b.example (x=40c.example)",
        "(Name) a@b.example",
        "a@b.example, c@d.example (Name)",
        "a@b.example (x",
        "(Name)",
    ] {
        assert_eq!(domain_of(from), None, "{from}");
    }
}
