//! The words by which a reply is judged, and how words are compared.

// The names of fields, as [`plain`] has them.

/// Fields that say with yes or no whether it succeeded.
pub(super) const FLAGS: [&str; 12] = [
    "erfolg",
    "exito",
    "ok",
    "sucesso",
    "succès",
    "success",
    "succeeded",
    "successful",
    "issuccess",
    "issuccessful",
    "isok",
    "delivered",
];
/// Fields that say with `true` or `false` whether it was taken; as numbers they are counts.
pub(super) const ACTS: [&str; 4] = ["accepted", "posted", "received", "sent"];
/// Fields with those that did not get it, or their number,
pub(super) const UNSERVED: [&str; 6] = [
    "errors",
    "failed",
    "failure",
    "failures",
    "rejected",
    "undelivered",
];
/// Fields with those that got it, or their number,
pub(super) const SERVED: [&str; 6] = [
    "accepted",
    "delivered",
    "recipients",
    "sent",
    "succeeded",
    "successful",
];
/// those who can only have got it,
pub(super) const GOT: [&str; 5] = ["accepted", "delivered", "sent", "succeeded", "successful"];
/// and with those that will.
pub(super) const COMING: [&str; 5] = ["enqueued", "pending", "processed", "queued", "scheduled"];
/// Fields that say so with a word, or with the number of a status.
pub(super) const STATES: [&str; 9] = [
    "httpcode",
    "httpstatus",
    "httpstatuscode",
    "outcome",
    "result",
    "state",
    "status",
    "statuscode",
    "type",
];
/// Fields with a number of the vendor's own.
pub(super) const CODES: [&str; 8] = [
    "code",
    "errcode",
    "errno",
    "errorcode",
    "resultcode",
    "ret",
    "retcode",
    "returncode",
];
/// Those of an error alone, which anything but 0 reports.
pub(super) const ERROR_CODES: [&str; 3] = ["errcode", "errno", "errorcode"];
/// Fields with a sentence for people.
pub(super) const SENTENCES: [&str; 9] = [
    "description",
    "detail",
    "details",
    "errmsg",
    "error",
    "errormessage",
    "message",
    "msg",
    "reason",
];
/// Fields that are present, or not empty, if it failed.
pub(super) const ERRORS: [&str; 16] = [
    "err",
    "erreur",
    "erro",
    "error",
    "errors",
    "errordescription",
    "errormessage",
    "errortext",
    "exception",
    "fault",
    "fehler",
    "haserror",
    "haserrors",
    "iserror",
    "usererrors",
    "validationerrors",
];
/// Fields that name what was made: only what was posted has one.
pub(super) const IDS: [&str; 4] = ["guid", "id", "sid", "uuid"];
/// What is made of a page: its id (`alertId`, `ticket_id`, `sys_id`) names it. Other ids (`userId`,
/// `request_id`, `trace_id`) do not.
const MADE: [&str; 17] = [
    "alert",
    "case",
    "delivery",
    "event",
    "incident",
    "issue",
    "job",
    "message",
    "msg",
    "notification",
    "page",
    "post",
    "record",
    "sys",
    "task",
    "thread",
    "ticket",
];
/// Fields that may name what was made, or the error.
pub(super) const REFERENCES: [&str; 6] = ["href", "key", "number", "permalink", "ref", "reference"];
/// Fields that hold the answer proper.
pub(super) const WITHIN: [&str; 9] = [
    "data",
    "items",
    "messages",
    "meta",
    "status",
    "response",
    "responses",
    "result",
    "results",
];

/// The beginnings of sentences and states that report a failure.
pub(super) const FAILED: [&str; 30] = [
    "bad",
    "denied",
    "err",
    "error",
    "errors",
    "exception",
    "fail",
    "failed",
    "failure",
    "forbidden",
    "invalid",
    "ko",
    "ng",
    "nok",
    "rejected",
    "unauthorized",
    "undelivered",
    "unsuccessful",
    "fehler",
    "fehlgeschlagen",
    "ungültig",
    "ungültige",
    "ungültiger",
    "ungültiges",
    "erreur",
    "échec",
    "fallo",
    "erro",
    "falha",
    "ошибка",
];
/// What was done, in other languages.
const DONE_ELSEWHERE: [&str; 10] = [
    "angenommen",
    "enviada",
    "enviado",
    "envoyé",
    "envoyée",
    "gesendet",
    "verschickt",
    "weitergeleitet",
    "отправлено",
    "отправлен",
];
pub(super) const DONE: [&str; 10] = [
    "accepted",
    "created",
    "delivered",
    "done",
    "ok",
    "posted",
    "queued",
    "sent",
    "success",
    "succeeded",
];
/// The values of an error field that mean no error, as [`plain`] has them.
pub(super) const NONE: [&str; 14] = [
    "",
    "0",
    "false",
    "na",
    "no",
    "noerror",
    "noerrors",
    "none",
    "null",
    "ok",
    "okay",
    "success",
    "successful",
    "succeeded",
];
/// What denies that something was done; `t` is of `don't`.
const NO: [&str; 5] = ["cannot", "never", "no", "not", "t"];
/// Words of which one is in each sentence that says why a number is no success.
pub(super) const WHY: [&str; 19] = [
    "bad",
    "blocked",
    "cannot",
    "denied",
    "error",
    "exceeded",
    "expired",
    "failed",
    "failure",
    "forbidden",
    "incompatible",
    "invalid",
    "missing",
    "no",
    "not",
    "suspended",
    "too",
    "unauthorized",
    "unsupported",
];

/// A name, or a word, without what is written in many ways: capitals and what joins its words.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' ' | '.' | '!'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The words of a sentence, or of `aName`, in lower case.
pub(super) fn words(said: &str) -> impl Iterator<Item = String> {
    let mut apart = String::new();
    for c in said.chars() {
        if c.is_uppercase() && apart.ends_with(char::is_lowercase) {
            apart.push(' ');
        }
        apart.push(c);
    }
    let apart = apart.to_lowercase();
    let words: Vec<_> = apart
        .split(|c: char| !c.is_alphanumeric())
        .map(ToOwned::to_owned)
        .collect();
    words.into_iter()
}

/// Whether a field names what was made.
pub(super) fn is_made(name: &str) -> bool {
    let name = plain(name);
    let thing = name.strip_suffix("ids").or_else(|| name.strip_suffix("id"));
    IDS.contains(&name.as_str()) || thing.is_some_and(is_thing)
}

/// Whether a field may hold what was made.
pub(super) fn is_thing(name: &str) -> bool {
    MADE.contains(&plain(name).as_str())
}

/// Whether a sentence also speaks of something that was done: `Failed checks: 3, page sent`.
pub(super) fn is_of_two_minds(said: &str) -> bool {
    let has = |known: &[&str]| words(said).any(|word| known.contains(&word.as_str()));
    let is_done = has(&DONE) || has(&DONE_ELSEWHERE) || has(&ACTS);
    (is_done || has(&["forwarded", "raised"])) && !has(&NO)
}

/// Whether a sentence says of anything that it was done, unless one of the three words before
/// denies it.
pub(super) fn is_done_in(said: &str) -> bool {
    let words: Vec<_> = words(said).filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().any(|(at, word)| {
        let before = &words[at.saturating_sub(3)..at];
        let is_denied = before.iter().any(|word| NO.contains(&word.as_str()));
        (DONE.contains(&word.as_str()) || ACTS.contains(&word.as_str())) && !is_denied
    })
}

pub(super) fn is_done(said: &str) -> bool {
    DONE.contains(&said.trim().to_ascii_lowercase().as_str())
}

/// Whether a sentence reports a success.
pub(super) fn is_success(said: &str) -> bool {
    is_done(said)
        || (said.contains("成功") && !said.contains(['不', '未', '没']))
        || words(said).any(|word| word.starts_with("success"))
            && !words(said).any(|word| WHY.contains(&word.as_str()))
}
