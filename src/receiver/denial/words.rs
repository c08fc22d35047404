//! The words by which a reply is judged, and how words are compared.

// The names of fields, in the form that [`plain`] returns.

/// Fields that say with yes or no whether the request succeeded.
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
/// Fields whose no says that it did not succeed, while a yes says nothing about the page.
pub(super) const CONDITIONS: [&str; 2] = ["isvalid", "valid"];
/// Fields that say with `true` or `false` whether the page was taken. As numbers, they are counts.
pub(super) const ACTS: [&str; 4] = ["accepted", "posted", "received", "sent"];
/// Fields that list, or count, the recipients that did not get the page.
pub(super) const UNSERVED: [&str; 6] = [
    "errors",
    "failed",
    "failure",
    "failures",
    "rejected",
    "undelivered",
];
/// Fields that list, or count, the recipients that got the page.
pub(super) const SERVED: [&str; 6] = [
    "accepted",
    "delivered",
    "recipients",
    "sent",
    "succeeded",
    "successful",
];
/// The fields of `SERVED` whose recipients can only have got the page.
pub(super) const GOT: [&str; 5] = ["accepted", "delivered", "sent", "succeeded", "successful"];
/// Fields that list, or count, the recipients that will get the page.
pub(super) const COMING: [&str; 5] = ["enqueued", "pending", "processed", "queued", "scheduled"];
/// Fields that report success or failure with a word, or with the number of a status.
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
/// Fields that contain a number of the vendor's own.
pub(super) const CODES: [&str; 9] = [
    "code",
    "errcode",
    "errno",
    "errorcode",
    "rc",
    "resultcode",
    "ret",
    "retcode",
    "returncode",
];
/// Those of `CODES` that only an error has: anything but 0 reports one.
pub(super) const ERROR_CODES: [&str; 3] = ["errcode", "errno", "errorcode"];
/// Those of `CODES` for what was returned, where zeros before a number are part of it: `000000` is
/// a success.
pub(super) const RETURNED: [&str; 5] = ["rc", "resultcode", "ret", "retcode", "returncode"];
/// Fields that contain a sentence for people.
pub(super) const SENTENCES: [&str; 14] = [
    "description",
    "detail",
    "details",
    "errmsg",
    "error",
    "errormessage",
    "meldung",
    "mensagem",
    "mensaje",
    "message",
    "messaggio",
    "msg",
    "nachricht",
    "reason",
];
/// Fields that are present, or not empty, if the request failed.
pub(super) const ERRORS: [&str; 17] = [
    "err",
    "erreur",
    "erro",
    "error",
    "errors",
    "errordescription",
    "errormessage",
    "errortext",
    "errortype",
    "exception",
    "fault",
    "fehler",
    "haserror",
    "haserrors",
    "iserror",
    "usererrors",
    "validationerrors",
];
/// Fields that name what was made: only something that was posted has such a name.
pub(super) const IDS: [&str; 4] = ["guid", "id", "sid", "uuid"];
/// The things that are made of a page: an id of one (`alertId`, `ticket_id`, `sys_id`) names it.
/// Other ids (`userId`, `request_id`, `trace_id`) do not.
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
/// Fields that contain the answer proper.
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
/// Words for what was done, in other languages.
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
/// Other words for what is done with a page that was taken.
const TAKEN: [&str; 10] = [
    "enqueued",
    "forwarded",
    "notified",
    "opened",
    "processed",
    "published",
    "raised",
    "recorded",
    "stored",
    "triggered",
];
/// Words for what was done with a page that nobody gets.
pub(super) const PASSED_OVER: [&str; 4] = ["ignored", "muted", "skipped", "suppressed"];
/// Words about a page that is known already: it was taken when it first came.
pub(super) const AGAIN: [&str; 6] = [
    "already",
    "dedup",
    "deduplicated",
    "duplicate",
    "duplicated",
    "repeat",
];
/// The fields of a state that is an object, as with Infobip and `BulkSMS`.
pub(super) const NAMES_OF_STATE: [&str; 4] = ["groupname", "id", "name", "type"];
/// Fields that list the recipients, each with its result.
pub(super) const RECIPIENTS: [&str; 5] = ["messages", "recipients", "responses", "results", "sms"];
/// The values of an error field that mean no error, in the form that [`plain`] returns.
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
/// Words that deny that something was done; `t` is that of `don't`.
const NO: [&str; 6] = ["cannot", "never", "no", "nobody", "not", "t"];
/// Words of which at least one occurs in every sentence that says why a number is no success.
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

/// Returns a name, or a word, without whatever can be written in several ways: capitals, and the
/// characters that join its words.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' ' | '.' | '!'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Returns the words of a sentence, or of `aName`, in lower case.
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

/// Whether a sentence also mentions something that was done: `Failed checks: 3, page sent`.
pub(super) fn is_of_two_minds(said: &str) -> bool {
    let has = |known: &[&str]| words(said).any(|word| known.contains(&word.as_str()));
    (has(&DONE) || has(&DONE_ELSEWHERE) || has(&ACTS) || has(&TAKEN)) && !has(&NO)
}

/// Whether a sentence says that anything was done, unless one of the three words before, in the
/// same clause, denies it.
pub(super) fn is_done_in(said: &str) -> bool {
    said.split(ends_clause).any(|clause| {
        let words: Vec<_> = words(clause).filter(|word| !word.is_empty()).collect();
        (0..words.len()).any(|at| is_deed(&words[at]) && denied_at(&words[..at]).is_none())
    })
}

/// Returns what a clause says was not done: `was not delivered`, `nobody was notified`.
/// `No errors sent` does not count, because it denies the errors.
pub(super) fn undone_in(clause: &[String]) -> Option<String> {
    (0..clause.len()).find_map(|at| {
        let no = denied_at(&clause[..at]).filter(|no| clause[*no] != "no")?;
        is_deed(&clause[at]).then(|| clause[no..=at].join(" "))
    })
}

pub(super) fn ends_clause(c: char) -> bool {
    matches!(c, ',' | ';' | ':' | '!' | '|' | '(' | '\n' | '。')
}

fn is_deed(word: &str) -> bool {
    DONE.contains(&word) || ACTS.contains(&word) || TAKEN.contains(&word)
}

/// Returns the position of a word among the last three that denies what follows.
fn denied_at(before: &[String]) -> Option<usize> {
    let first = before.len().saturating_sub(3);
    (first..before.len()).find(|at| NO.contains(&before[*at].as_str()))
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
