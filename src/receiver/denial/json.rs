//! JSON bodies that say that nothing was posted.

use serde_json::{Map, Value};

use super::{
    Denial,
    failure::{is_failure, passed_over},
    sentence::of_text,
    words::{
        ACTS, AGAIN, CODES, COMING, CONDITIONS, ERROR_CODES, ERRORS, FLAGS, GOT, NAMES_OF_STATE,
        NONE, RECIPIENTS, REFERENCES, RETURNED, SENTENCES, SERVED, STATES, UNSERVED, WHY, WITHIN,
        is_done, is_made, is_of_two_minds, is_success, is_thing, plain, words,
    },
};

/// The depth below which nested answers are not read.
const DEEPEST: usize = 3;

pub(super) fn of_json(json: &Value) -> Option<Denial> {
    within(json, 0)
}

/// Judges the lines of NDJSON. The last line says how it ended, but if one line says that the page
/// was taken, the page is not sent again.
pub(super) fn of_lines(lines: &[Value]) -> Option<Denial> {
    let all = lines.iter().map(of_json).reduce(Option::and).flatten();
    all.or_else(|| of_json(lines.last()?).map(|_| Denial::Doubtful))
}

fn within(json: &Value, depth: usize) -> Option<Denial> {
    match json {
        Value::Bool(false) if depth == 0 => Some(Denial::Words),
        Value::String(said) if depth == 0 => of_text(said),
        // If one of several messages was posted, the page must not be repeated.
        Value::Array(items) => {
            let each = items.iter().map(|item| within(item, depth));
            each.reduce(Option::and).flatten()
        }
        Value::Object(fields) => of_object(fields, depth),
        _ => None,
    }
}

/// Judges an object.
///
/// Plain statements count first: a yes, a status, a no, a word. The id of something that was made
/// counts more than the vendor's own numbers and than errors, which may concern one recipient of
/// several; beside a word that reports a failure, it leaves a doubt.
fn of_object(fields: &Map<String, Value>, depth: usize) -> Option<Denial> {
    let any =
        |names, holds: &dyn Fn(&Value) -> bool| all(fields, names).any(|(_, value)| holds(value));

    let act = |said: bool| any(&ACTS, &|act| act.as_bool() == Some(said));
    let says_yes = any(&FLAGS, &|flag| truth(flag) == Some(true));
    // A 0 is no refusal while others are still to get the page: `{"delivered":0,"queued":1}`.
    let is_coming = count(fields, &COMING) > Some(0);
    let is_no = |flag: &Value| truth(flag) == Some(false) && (flag.is_boolean() || !is_coming);
    let says_no = any(&FLAGS, &is_no)
        || any(&CONDITIONS, &|holds| holds.as_bool() == Some(false))
        || (act(false) && !act(true) && !says_yes);
    if says_yes && !says_no {
        return None;
    }

    let is_made = !is_rpc(fields) && fields.iter().any(names_what_was_made);
    let codes = all(fields, if is_made { &[] } else { &CODES });
    // A recipient that got the page must not get it again, whatever the reply says of the others.
    let some_got_it = got_it(fields);
    let unless_some = |denial| {
        Some(if some_got_it {
            Denial::Doubtful
        } else {
            denial
        })
    };
    // A status says more than a no.
    if let Some(code) = all(fields, &STATES)
        .chain(codes)
        .find_map(|(_, value)| is_status(value))
    {
        return unless_some(Denial::Status(code));
    }

    if says_no || (!is_made && any(&CODES, &is_bad)) {
        return unless_some(Denial::Words);
    }
    if any(&STATES, &is_bad_state) {
        let is_sent = |state: &Value| state.as_str().is_some_and(is_of_two_minds);
        let is_named = is_made || some_got_it || any(&REFERENCES, &is_id) || any(&STATES, &is_sent);
        return Some(if is_named {
            Denial::Doubtful
        } else {
            Denial::Words
        });
    }
    if is_made || some_got_it {
        return None;
    }
    of_nothing_made(fields, depth)
}

/// Judges an object that names nothing that was made: by the vendor's own numbers, by errors, and
/// by the nested answer.
fn of_nothing_made(fields: &Map<String, Value>, depth: usize) -> Option<Denial> {
    let any =
        |names, holds: &dyn Fn(&Value) -> bool| all(fields, names).any(|(_, value)| holds(value));

    if all(fields, &CODES).any(|(name, code)| is_wrong(name, code, fields))
        || all(fields, &["status"]).any(|(name, status)| is_explained(name, status, fields))
    {
        return Some(Denial::Words);
    }
    let says_done = any(&STATES, &|state| state.as_str().is_some_and(is_done));
    if let Some(denial) = of_recipients(fields, depth) {
        return Some(if says_done { Denial::Doubtful } else { denial });
    }
    if says_done {
        return None;
    }
    match of_counts(fields) {
        Counted::Nothing => {}
        Counted::Somebody => return None,
        Counted::Nobody(denial) => return Some(denial),
    }
    let is_fine = any(&CODES, &|code| number(code) == Some(0));
    if any(&ERRORS, &holds) {
        let is_made = any(&["data"], &holds_what_was_made);
        return Some(if is_made {
            Denial::Doubtful
        } else {
            Denial::Words
        });
    }
    if !is_fine && any(&SENTENCES, &is_bad) {
        return Some(Denial::Word);
    }
    // A page that the endpoint knows already was told when it first came.
    let is_passed_over = |said: &Value| {
        said.as_str()
            .is_some_and(|said| passed_over(said).is_some())
    };
    let is_known = fields
        .values()
        .filter_map(Value::as_str)
        .any(|said| words(said).any(|word| AGAIN.contains(&word.as_str())));
    if !is_fine && !is_known && (any(&STATES, &is_passed_over) || any(&SENTENCES, &is_passed_over))
    {
        return Some(Denial::Doubtful);
    }
    if depth == DEEPEST {
        return None;
    }
    let only = fields.iter().next().filter(|_| fields.len() == 1);
    let only = only.filter(|(name, answer)| answer.is_object() && !is_thing(name));
    all(fields, &WITHIN).chain(only).find_map(|(name, answer)| {
        within(answer, depth + 1).or_else(|| within(of_mutation(name, answer)?, depth + 1))
    })
}

/// Judges the results of the single recipients, which deny the page if nobody got it:
/// `{"sms":{"4915…":{"status":"ERROR"}}}`, `{"recipients":[{"statusCode":403}]}`.
fn of_recipients(fields: &Map<String, Value>, depth: usize) -> Option<Denial> {
    let of_each = |each: Vec<&Value>| {
        let is_told = !each.is_empty() && each.iter().all(|one| one.is_object());
        let all = || {
            each.iter()
                .map(|one| within(one, depth + 1))
                .reduce(Option::and)
        };
        is_told.then(all).flatten().flatten()
    };
    if depth == DEEPEST {
        return None;
    }
    all(fields, &RECIPIENTS).find_map(|(_, told)| match told {
        Value::Array(each) => of_each(each.iter().collect()),
        Value::Object(each) => of_each(each.values().collect()),
        _ => None,
    })
}

/// Returns the answer of a GraphQL mutation: `{"data":{"createAlert":{"userErrors":[…]}}}`.
fn of_mutation<'a>(name: &str, answer: &'a Value) -> Option<&'a Value> {
    let answers = answer.as_object().filter(|answers| answers.len() == 1)?;
    let (only, answer) = answers.iter().next()?;
    (name == "data" && !is_thing(only)).then_some(answer)
}

/// Whether the answer of a mutation names what was made: `{"createAlert":{"id":"7"}}`,
/// `{"createAlert":{"alert":{"id":"7"}}}`.
fn holds_what_was_made(data: &Value) -> bool {
    let answers = data.as_object().into_iter().flat_map(Map::values);
    answers
        .filter_map(Value::as_object)
        .any(|answer| answer.iter().any(names_what_was_made))
}

/// The recipients that got the page, as a reply counts them.
enum Counted {
    Nothing,
    Somebody,
    Nobody(Denial),
}

/// Counts the recipients: with `{"sent":0,"failed":1}`, nobody got the page. `{"sent":0}` alone may
/// also mean that nobody has it yet.
fn of_counts(fields: &Map<String, Value>) -> Counted {
    let is_taken = all(fields, &ACTS).any(|(_, act)| act.as_bool() == Some(true));
    match (count(fields, &SERVED), count(fields, &UNSERVED)) {
        _ if is_taken || count(fields, &COMING) > Some(0) => Counted::Nothing,
        (Some(0), Some(1..)) => Counted::Nobody(Denial::Words),
        (Some(0), _) => Counted::Nobody(Denial::Doubtful),
        (Some(1..), Some(_)) => Counted::Somebody,
        _ => Counted::Nothing,
    }
}

/// Whether some recipients got the page, by the object itself or by its nested answer:
/// `{"sent":1,"failed":1}`. A number of 10,000 or more is more than a page has readers: it is a
/// time, not a count.
fn got_it(fields: &Map<String, Value>) -> bool {
    let is_count = |fields| matches!(count(fields, &GOT), Some(1..10_000));
    let mut within = all(fields, &WITHIN).filter_map(|(_, answer)| answer.as_object());
    is_count(fields) || within.any(is_count)
}

/// Returns the sum of what these fields count or list.
fn count(fields: &Map<String, Value>, names: &'static [&str]) -> Option<i64> {
    let counts = all(fields, names).filter_map(|(_, counted)| match counted {
        Value::Array(each) => i64::try_from(each.len()).ok(),
        counted => number(counted),
    });
    counts.reduce(i64::saturating_add)
}

/// Returns the fields that have one of these names.
fn all<'a>(
    fields: &'a Map<String, Value>,
    names: &'static [&str],
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let is_one = move |name: &str| names.contains(&plain(name).as_str());
    fields.iter().filter(move |(name, _)| is_one(name))
}

/// Whether a field names what was made: `"alertId": 7`, `"alert": {"id": 7}`.
fn names_what_was_made((name, value): (&String, &Value)) -> bool {
    let within = || value.as_object().into_iter().flatten();
    (is_made(name) && is_id(value))
        || (is_thing(name) && within().any(|(name, id)| is_made(name) && is_id(id)))
}

fn is_bad(state: &Value) -> bool {
    number(state).is_none() && state.as_str().is_some_and(is_failure)
}

/// Whether a state reports a failure. It may be an object that names the state:
/// `{"groupName":"REJECTED"}`.
fn is_bad_state(state: &Value) -> bool {
    let named = || state.as_object().map(|named| all(named, &NAMES_OF_STATE));
    is_bad(state) || named().is_some_and(|mut names| names.any(|(_, name)| is_bad(name)))
}

/// Whether this is a JSON-RPC reply that reports an error. Its `id` is that of the request.
fn is_rpc(fields: &Map<String, Value>) -> bool {
    let is_member = |name: &String| ["error", "id", "jsonrpc", "result"].contains(&name.as_str());
    fields.get("error").is_some_and(Value::is_object) && fields.keys().all(is_member)
}

fn is_status(value: &Value) -> Option<u16> {
    let code = number(value).and_then(|code| u16::try_from(code).ok());
    code.filter(|code| (400..600).contains(code))
}

/// Whether a vendor's own number reports a failure: an `errcode` other than 0, a `code` below 0, or
/// a `code` beside a sentence that reports one or, from 400 on, reports no success. The last does
/// not apply to a round number, such as 1000 or 20000, because many vendors' numbers start there.
fn is_wrong(name: &str, code: &Value, fields: &Map<String, Value>) -> bool {
    let is_error = ERROR_CODES.contains(&plain(name).as_str())
        || RETURNED.contains(&plain(name).as_str())
            && code.as_str().is_some_and(|code| code.starts_with("00"));
    let Some(code) = number(code) else {
        return is_error && code.is_string() && holds(code);
    };
    if is_error || code <= 0 {
        return code != 0;
    }

    let said = fields
        .iter()
        .filter(|(name, _)| is_sentence(&plain(name)))
        .find_map(|(_, said)| said.as_str());
    let digits = code.to_string();
    let is_round =
        !digits.starts_with(['4', '5']) && digits[1..].bytes().all(|digit| digit == b'0');
    said.is_some_and(|said| is_failure(said) || (code >= 400 && !is_round && !is_success(said)))
}

/// Whether a field of this name contains a sentence. Splunk's collector explains its `code` in
/// `text`, which otherwise belongs to a message.
fn is_sentence(name: &str) -> bool {
    name == "text" || SENTENCES.contains(&name)
}

/// Whether a number that means nothing by itself is explained as a failure: `"status": 2` by
/// `"status_message": "invalidAuthToken"`.
fn is_explained(name: &str, status: &Value, fields: &Map<String, Value>) -> bool {
    let said = ["_message", "_msg", "_text", "Message", "Text"]
        .iter()
        .find_map(|suffix| fields.get(&format!("{name}{suffix}"))?.as_str());
    number(status).is_some_and(|status| status != 0)
        && said.is_some_and(|said| words(said).any(|word| WHY.contains(&word.as_str())))
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(id) => !NONE.contains(&plain(id).as_str()),
        Value::Number(id) => id.as_f64().is_some_and(|id| id > 0.0),
        Value::Array(ids) => ids.iter().any(is_id),
        _ => false,
    }
}

fn truth(flag: &Value) -> Option<bool> {
    match flag {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(word) => match word.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn number(state: &Value) -> Option<i64> {
    state
        .as_i64()
        .or_else(|| state.as_str()?.trim().parse().ok())
}

fn holds(error: &Value) -> bool {
    match error {
        Value::Null => false,
        Value::Bool(error) => *error,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(said) => !NONE.contains(&plain(said).as_str()),
        Value::Array(errors) => errors.iter().any(holds),
        // An object such as `{"code": 0, "message": "success"}` is no error.
        Value::Object(errors) => {
            let is_zero = |(name, code): (&String, &Value)| {
                CODES.contains(&plain(name).as_str()) && number(code) == Some(0)
            };
            !errors.iter().any(is_zero) && errors.values().any(holds)
        }
    }
}
