//! Sentences that report a failure: by their first word, or as a short refusal such as
//! `Rate limit exceeded`, `Unknown user` and `-1002 ACCOUNT SUSPENDED`.
//!
//! Only the first clause of a refusal counts, because a later one may be a remark on what was
//! taken; and only a short clause counts, because a longer one explains something.

use std::{collections::HashSet, sync::LazyLock};

use super::words::{
    ACTS, AGAIN, CODES, CONDITIONS, DONE, ERRORS, FAILED, FLAGS, IDS, NONE, PASSED_OVER,
    REFERENCES, SENTENCES, STATES, WHY, WITHIN, ends_clause, is_done_in, is_thing, plain,
    undone_in, words,
};

/// The beginnings of sentences that report a failure in several words; `FAILED` has the single
/// words.
const FAILED_SO: [&str; 13] = [
    "accesso negato",
    "acceso denegado",
    "accès refusé",
    "acesso negado",
    "zugriff verweigert",
    "доступ запрещ",
    "access denied",
    "fatal error",
    "no such ",
    "not found",
    "odmowa dostępu",
    "permission denied",
    "traceback (most recent call last)",
];
/// Words of Chinese and Japanese, which do not separate words. They report a failure alone, before
/// a colon, or at the end of a sentence.
const FAILED_IN_SIGNS: [&str; 8] = [
    "错误",
    "錯誤",
    "失败",
    "失敗",
    "エラー",
    "无效",
    "無効",
    "拒绝",
];
/// The largest number of words in a clause that may refuse; a longer one explains something.
const LONGEST: usize = 16;

/// The beginnings of clauses of several words that refuse.
const BEGINS: [&str; 27] = [
    "incorrect",
    "insufficient",
    "missing",
    "no active",
    "no data",
    "no on call",
    "no one on call",
    "no recipient",
    "no recipients",
    "no route",
    "no subscribers",
    "no valid",
    "nobody on call",
    "not authenticated",
    "not enough",
    "over limit",
    "over quota",
    "rate limited",
    "throttled",
    "too many",
    "unauthorised",
    "unexpected",
    "unknown",
    "unrecognised",
    "unrecognized",
    "unsupported",
    "wrong",
];
/// The phrases that mark a refusal anywhere in a clause.
const ANYWHERE: [&str; 45] = [
    "are required",
    "bad request",
    "can not",
    "cannot",
    "could not",
    "does not exist",
    "doesn t exist",
    "down for maintenance",
    "failed to",
    "has exceeded",
    "has unsubscribed",
    "have exceeded",
    "in maintenance",
    "is empty",
    "is muted",
    "is paused",
    "is required",
    "limit reached",
    "maintenance mode",
    "must be",
    "must not",
    "no one is on call",
    "no one on call",
    "nobody is on call",
    "nobody on call",
    "not active",
    "not allowed",
    "not authorised",
    "not authorized",
    "not available",
    "not configured",
    "not enabled",
    "not found",
    "not permitted",
    "not registered",
    "not subscribed",
    "not supported",
    "not valid",
    "opted out",
    "payment required",
    "quota reached",
    "timed out",
    "too fast",
    "unable to",
    "under maintenance",
];
/// The last words of a clause that refuses, unless an earlier word denies them
/// (`No limit exceeded`).
const ENDS: [&str; 37] = [
    "archived",
    "banned",
    "barred",
    "blacklisted",
    "blocked",
    "busy",
    "deactivated",
    "declined",
    "denied",
    "disabled",
    "discarded",
    "dropped",
    "error",
    "exceeded",
    "expired",
    "failed",
    "incorrect",
    "invalid",
    "long",
    "large",
    "missing",
    "refused",
    "rejected",
    "revoked",
    "suspended",
    "terminated",
    "throttled",
    "unauthorized",
    "unavailable",
    "undeliverable",
    "unknown",
    "unreachable",
    "unsupported",
    "full",
    "inválida",
    "inválido",
    "ungültig",
];
/// Those of `ENDS` that refuse only after `too`.
const TOO: [&str; 2] = ["large", "long"];
/// Those of `ENDS` that say nothing when they stand alone: `{"status": "unknown"}`.
const NOT_ALONE: [&str; 7] = [
    "archived",
    "busy",
    "full",
    "incorrect",
    "missing",
    "unavailable",
    "unknown",
];
const DENIES: [&str; 8] = [
    "0", "never", "no", "none", "not", "nothing", "without", "zero",
];
/// Words that remark on a page that was taken all the same, or will be later:
/// `Message too long, truncated`.
const REMARKS: [&str; 18] = [
    "anyway",
    "assumed",
    "assuming",
    "buffered",
    "default",
    "deferred",
    "delayed",
    "deprecated",
    "enqueued",
    "ignored",
    "ignoring",
    "instead",
    "postponed",
    "retrying",
    "scheduled",
    "shortened",
    "truncated",
    "using",
];

/// Every word by which a reply may be judged.
static READ: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    [
        &FLAGS[..],
        &CONDITIONS,
        &ACTS,
        &STATES,
        &CODES,
        &SENTENCES,
        &ERRORS,
        &IDS,
        &REFERENCES,
        &WITHIN,
        &FAILED,
        &ENDS,
        &PASSED_OVER,
        &DONE,
        &NONE,
        &WHY,
    ]
    .concat()
    .into_iter()
    .collect()
});

/// Whether a reply may be judged by this word, which is in lower case.
pub fn reads(word: &str) -> bool {
    READ.contains(plain(word).as_str())
}

/// Whether a text begins with a word that reports a failure, or is a short refusal.
pub(super) fn is_failure(said: &str) -> bool {
    failure(said).is_some()
}

/// Returns the words, in lower case, by which a text reports a failure.
pub(super) fn failure(said: &str) -> Option<String> {
    let lower = said.trim().to_lowercase();
    // A name such as `fail2ban` is another word, whereas `error500` is not.
    let first = lower
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    let word = first.trim_end_matches(|c: char| c.is_ascii_digit());
    if FAILED.contains(&word) {
        return (!counts_none(&lower[first.len()..])).then(|| first.to_owned());
    }

    // The class of an exception: `System.Net.Http.HttpRequestException: …`, `TypeError: …`.
    let class = lower.split_whitespace().next().and_then(|word| {
        let class = word.trim_end_matches(':');
        let is_error = class.len() < word.len() && class.ends_with("error");
        let is_class = class.ends_with("exception") || is_error && !class.starts_with("no");
        is_class.then_some(class)
    });
    let phrase = || {
        FAILED_SO
            .into_iter()
            .find(|phrase| lower.starts_with(phrase))
    };
    let found = class.or_else(|| bad_sign(&lower)).or_else(phrase);
    found.map(ToOwned::to_owned).or_else(|| refusal(said))
}

/// Whether a word of failure is followed by a count of none: `errors: 0`, `Failed=0, sent=1` and
/// `error: none`, but not `error: no such room`.
fn counts_none(after: &str) -> bool {
    let counted = after
        .trim_start()
        .strip_prefix([':', '='])
        .and_then(|rest| rest.split([',', ';', '\n']).next());
    counted.is_some_and(|count| {
        let count = count.trim();
        let number = count.split(|c: char| !c.is_ascii_alphanumeric()).next();
        !count.is_empty() && (NONE.contains(&plain(count).as_str()) || number == Some("0"))
    })
}

/// Returns the Chinese or Japanese word that reports a failure: `错误：…`, `发送失败`,
/// `送信に失敗しました`.
fn bad_sign(said: &str) -> Option<&'static str> {
    let said = said.trim_end_matches(['。', '！', '!', '.']);
    let ends = |word: &str| {
        let said = said.strip_suffix("しました").unwrap_or(said);
        said.ends_with(word) && !said.contains(char::is_whitespace)
    };
    FAILED_IN_SIGNS.into_iter().find(|word| {
        let after = said.strip_prefix(word).map(str::trim_start);
        after.is_some_and(|after| after.starts_with([':', '：'])) || ends(word)
    })
}

/// Returns the words by which a text refuses.
fn refusal(said: &str) -> Option<String> {
    let clause = clause(said)?;
    if said.starts_with('<') || clause.len() > LONGEST {
        return None;
    }
    let nobody = clause.windows(3).find(|words| is_to_nobody(words));
    if let Some(words) = nobody {
        return Some(words.join(" "));
    }
    if is_done_in(said) || remarks(said) {
        return None;
    }
    let text = clause.join(" ");
    // A text that begins with a word was already searched for these.
    let failed = FAILED
        .iter()
        .filter(|_| said.starts_with(|c: char| c.is_ascii_digit()));
    let begin = BEGINS
        .iter()
        .chain(failed)
        .find(|begin| is_begun(&text, begin));
    let anywhere = || {
        let spaced = format!(" {text} ");
        ANYWHERE
            .iter()
            .find(|&&phrase| spaced.contains(&format!(" {phrase} ")))
    };
    begin
        .or_else(anywhere)
        .map(|&phrase| phrase.to_owned())
        .or_else(|| ending(&clause))
        .or_else(|| undone_in(&clause))
}

/// Whether three words say that nobody got the page: `Sent to 0/1`.
fn is_to_nobody(words: &[String]) -> bool {
    matches!(words, [done, to, count]
        if DONE.contains(&done.as_str()) && to == "to" && count == "0")
}

/// Returns the words by which a text says that a page was taken but told to nobody: `ignored`,
/// `Alert suppressed during a blackout`. A page that is known already does not count, because it
/// was told.
pub(super) fn passed_over(said: &str) -> Option<String> {
    let has = |known: &[&str]| words(said).any(|word| known.contains(&word.as_str()));
    let clause = clause(said)?;
    if said.starts_with('<') || clause.len() > LONGEST || is_done_in(said) || has(&AGAIN) {
        return None;
    }

    let is_about = |word: &&String| {
        const ABOUT: [&str; 10] = [
            "been", "has", "is", "payload", "request", "the", "this", "was", "webhook", "your",
        ];
        ABOUT.contains(&word.as_str()) || is_thing(word)
    };
    let deed = clause.iter().find(|word| !is_about(word))?;
    PASSED_OVER.contains(&deed.as_str()).then(|| deed.clone())
}

/// Returns the words of the first clause that contains a letter, without a negative number before
/// them such as `-1002`. A number such as `3` counts as a word.
fn clause(said: &str) -> Option<Vec<String>> {
    let clause = said
        .split(ends_clause)
        .flat_map(|part| part.split(". "))
        .find(|part| part.contains(char::is_alphabetic))?
        .trim();
    let clause = match clause.strip_prefix('-') {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => clause,
    };
    Some(words(clause).filter(|word| !word.is_empty()).collect())
}

fn is_begun(text: &str, begin: &str) -> bool {
    let rest = text.strip_prefix(begin);
    rest.is_some_and(|rest| rest.starts_with(' ') || (rest.is_empty() && begin.contains(' ')))
}

fn ending(clause: &[String]) -> Option<String> {
    let (last, before) = clause.split_last()?;
    let has = |known: &[&str]| before.iter().any(|word| known.contains(&word.as_str()));
    let is_too = before.last().is_some_and(|word| word == "too");
    let is_bad = ENDS.contains(&last.as_str())
        && (is_too || !TOO.contains(&last.as_str()))
        && (!before.is_empty() || !NOT_ALONE.contains(&last.as_str()))
        && !has(&DENIES);
    is_bad.then(|| last.clone())
}

fn remarks(said: &str) -> bool {
    words(said).any(|word| REMARKS.contains(&word.as_str()))
}
