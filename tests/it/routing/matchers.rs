//! What a matcher's text means, beyond what amtool can tell: the UTF-8 grammar, numbers, errors.

use alertbridge::label::{Matcher, MatcherError, Operator};

use super::labels;

fn parts(text: &str) -> Vec<(String, Operator, String)> {
    Matcher::parse_list(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .iter()
        .map(|matcher| {
            (
                matcher.name().to_owned(),
                matcher.operator(),
                matcher.value().to_owned(),
            )
        })
        .collect()
}

fn holds(text: &str, value: &str) -> bool {
    let matchers = Matcher::parse_list(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    matchers
        .iter()
        .all(|matcher| matcher.holds(&labels(&[("a", value)])))
}

#[test]
fn names_and_values_may_be_any_utf_8_where_alertmanager_takes_it() {
    use Operator::{Equal, GreaterOrEqual, Matches, NotEqual};
    for (text, name, operator, value) in [
        ("\"my label\"=b", "my label", Equal, "b"),
        ("größe!=b", "größe", NotEqual, "b"),
        ("\"größe\" =~ \"b.*\"", "größe", Matches, "b.*"),
        (
            " { größe = \"\\u00e9\\t\\x41\\101\" } ",
            "größe",
            Equal,
            "é\tAA",
        ),
        ("a-b=c", "a-b", Equal, "c"),
        ("größe=b>c", "größe", Equal, "b>c"),
        ("\"größe\">=20", "größe", GreaterOrEqual, "20"),
        ("größe>=20", "größe", GreaterOrEqual, "20"),
        ("\"a>\"=1", "a>", Equal, "1"),
    ] {
        assert_eq!(
            parts(text),
            [(name.to_owned(), operator, value.to_owned())],
            "{text}"
        );
    }
    assert_eq!(parts("{größe=a,b-c=d}").len(), 2);
    // Where both grammars read a text, the classic one decides, as in Alertmanager.
    assert_eq!(parts("a=\"\\t\"")[0].2, "\\t");
}

#[test]
fn numbers_compare_as_numbers_and_what_is_no_number_never_holds() {
    for (text, value, expected) in [
        ("a>=20", "20", true),
        ("a>=20", "39", true),
        ("a>=20", "9", false),
        ("a>20", "20", false),
        ("a > 20", "20.5", true),
        ("a<=0.05", "0.05", true),
        ("a<0", "-1", true),
        ("a<-1.5", "-2", true),
        ("a>\"20\"", "21", true),
        ("a>=1e2", "100", true),
        ("a<100", "1e1", true),
        // Missing, words, and what only Rust's parser takes for a number.
        ("a>=20", "", false),
        ("a<20", "", false),
        ("a<20", "high", false),
        ("a>=20", "inf", false),
        ("a<20", "NaN", false),
        ("a<20", " 1", false),
        ("a>=20,a<30", "25", true),
        ("{a>=20, a<30}", "30", false),
        ("a>=20, b=\"\"", "25", true),
        // Equality is of texts.
        ("a=20", "20.0", false),
        ("a=>20", ">20", true),
    ] {
        assert_eq!(holds(text, value), expected, "{text} on {value:?}");
    }
}

#[test]
fn a_label_that_is_not_set_reads_as_empty() {
    let none = labels(&[]);
    for (text, expected) in [
        ("a=", true),
        ("a!=", false),
        ("a!=b", true),
        ("a=~\".*\"", true),
        ("a=~\".+\"", false),
        ("a!~\"b\"", true),
    ] {
        assert_eq!(
            Matcher::parse(text).unwrap().holds(&none),
            expected,
            "{text}"
        );
    }
}

#[test]
fn an_error_says_what_is_wrong_and_where() {
    for (text, expected) in [
        (
            "severity",
            "an operator (= != =~ !~ > >= < <=) is expected at column 9",
        ),
        ("=b", "a label's name is expected at column 1"),
        (
            "größe=",
            "a value is expected (an empty one is \"\") at column 7",
        ),
        (
            "größe=\"b",
            "there is no closing quote for the one at column 7",
        ),
        (
            "größe=\"\\q\"",
            "there is an invalid escape in the quotes at column 7",
        ),
        ("größe=a b", "a comma or the end is expected at column 9"),
        ("{größe=a", "the closing brace is missing at column 9"),
        ("a=\"x\"y\"", "a comma or the end is expected at column 6"),
        (
            "a=~\"(\"",
            "`(` is not a valid regular expression: unclosed group",
        ),
        (
            "sli_gap>=much",
            "`>=` compares numbers, and `much` is not a number",
        ),
        ("a>\"=1\"", "`>` compares numbers, and `=1` is not a number"),
        (
            "sli_gap>=inf",
            "`>=` compares numbers, and `inf` is not a number",
        ),
    ] {
        assert_eq!(
            Matcher::parse_list(text).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn one_matcher_is_not_a_list() {
    assert_eq!(Matcher::parse("a=b,c=d").unwrap().value(), "b,c=d");
    assert_eq!(
        Matcher::parse("größe=b,c=d").unwrap_err(),
        MatcherError::Count(2)
    );
    assert_eq!(Matcher::parse("").unwrap_err(), MatcherError::Count(0));
    assert!(matches!(
        Matcher::parse("{a=b}"),
        Err(MatcherError::Syntax { .. })
    ));
}

#[test]
fn a_matcher_prints_as_a_text_that_reads_back_the_same() {
    for text in [
        "a=b",
        "a!=\"say \\\"hi\\\"\"",
        "a=~\"x\\\\.y\"",
        "größe=\"a\\nb\"",
        "a>=20",
        "\"my label\"<1.5",
        "a=\"\\\\n\"",
    ] {
        let printed = Matcher::parse(text).unwrap().to_string();
        assert_eq!(parts(&printed), parts(text), "{text} printed as {printed}");
    }
    assert_eq!(
        Matcher::parse(" a =~ b.* ").unwrap().to_string(),
        "a=~\"b.*\""
    );
}

#[test]
fn any_text_is_a_matcher_or_an_error_and_what_is_one_prints_so_that_it_reads_back() {
    let mut rng = fastrand::Rng::with_seed(11);
    let soup = [
        "a", "b", "größe", " ", "=", "!", "~", "<", ">", "\"", "\\", ",", "{", "}", "[", "]", "(",
        ")", "*", "?", "-", "1", ".", "\n", "\\x4", "\\u00e9", "\\Q", "\\d", "a=\"", "a=~", "[[:",
        ":]", "'", "\u{a0}",
    ];
    let mut read = 0;
    for _ in 0..50_000 {
        let text: String = (0..rng.usize(1..12))
            .map(|_| soup[rng.usize(..soup.len())])
            .collect();
        for matcher in Matcher::parse_list(&text).unwrap_or_default() {
            let printed = matcher.to_string();
            let expected = (
                matcher.name().to_owned(),
                matcher.operator(),
                matcher.value().to_owned(),
            );
            assert_eq!(
                parts(&printed),
                [expected],
                "{text:?} printed as {printed:?}"
            );
            read += 1;
        }
    }
    assert!(read > 500, "{read}");
}
