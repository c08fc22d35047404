//! The API is as its document describes it: whatever is sent, no answer is a fault of ours, and
//! each fits its schema.

use alertbridge::web::api::v1;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{CONFIG, sample},
    harness::{Bridge, client},
};

/// A text that a parameter or a part of a path might be given.
fn text(random: &mut fastrand::Rng) -> String {
    const ODD: [&str; 14] = [
        "",
        "0",
        "1",
        "-1",
        "9223372036854775808",
        "open",
        "critical",
        "a/b",
        "%00",
        "\u{202e}x",
        "'; DROP TABLE mails; --",
        "2026-03-01T00:00:00Z",
        "{\"a\":1}",
        "..",
    ];
    if random.bool() {
        ODD[random.usize(..ODD.len())].to_owned()
    } else {
        (0..random.usize(1..20))
            .map(|_| random.char(' '..'\u{2fff}'))
            .collect()
    }
}

/// A value that may or may not fit a schema.
fn value(schema: &Value, document: &Value, random: &mut fastrand::Rng) -> Value {
    if random.u8(..10) == 0 {
        return [
            json!(null),
            json!(17),
            json!([]),
            json!({}),
            json!(text(random)),
        ][random.usize(..5)]
        .clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let path = reference.trim_start_matches('#');
        return value(document.pointer(path).unwrap(), document, random);
    }
    match schema["type"].as_str().or(schema["type"][0].as_str()) {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let given = fields
                .filter(|_| random.bool())
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>();
            let pairs = given.into_iter().map(|name| {
                let field = value(&schema["properties"][&name], document, random);
                (name, field)
            });
            Value::Object(pairs.collect())
        }
        Some("array") => (0..random.usize(..3))
            .map(|_| value(&schema["items"], document, random))
            .collect(),
        Some("integer") => json!(random.i64(-2..2000)),
        Some("boolean") => json!(random.bool()),
        _ => json!(text(random)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_a_fault_and_each_fits_its_schema() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    for incident in ["1", "open", "a/b"] {
        let mail = sample(folder.path(), incident, &[]);
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    bridge.settled_in_store(3).await;

    let document = serde_json::to_value(v1::document()).unwrap();
    let mut answered = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        // It has no end, and tests of its own.
        if path.ends_with("/events") {
            continue;
        }
        for (method, operation) in methods.as_object().unwrap() {
            for _ in 0..12 {
                let (path, body) = request(path, operation, &document, &mut random);
                let verb: Method = method.to_uppercase().parse().unwrap();
                let url = format!("{}{path}", bridge.admin);
                let sent = client().request(verb, &url).body(body.clone()).send().await;
                let response = sent.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
                let status = response.status().as_u16();
                assert!(
                    status < 500,
                    "{method} {path} {body}: {status} {:?}",
                    response.text().await
                );

                let kind = response.headers()["content-type"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                let responses = &operation["responses"];
                let described = responses
                    .get(status.to_string())
                    .unwrap_or(&responses["default"]);
                let kind = kind.split(';').next().unwrap();
                let schema = &described["content"][kind]["schema"];
                assert!(
                    !schema.is_null(),
                    "{method} {path}: {status} {kind} is not described"
                );
                if kind.ends_with("json") {
                    let answer: Value = response.json().await.unwrap();
                    let mut whole = document.clone();
                    whole["$ref"] = schema["$ref"].clone();
                    if whole["$ref"].is_null() {
                        whole = json!({ "allOf": [schema], "components": document["components"] });
                    }
                    let validator = jsonschema::validator_for(&whole).unwrap();
                    let wrong: Vec<_> = validator
                        .iter_errors(&answer)
                        .map(|error| error.to_string())
                        .collect();
                    assert!(wrong.is_empty(), "{method} {path}: {wrong:?}: {answer}");
                    answered += u32::from(status < 300);
                }
            }
        }
    }
    assert!(
        answered > 50,
        "only {answered} of the requests were answered"
    );
}

fn request(
    path: &str,
    operation: &Value,
    document: &Value,
    random: &mut fastrand::Rng,
) -> (String, String) {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let mut path = path.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str().unwrap() {
            "path" => {
                let part = if random.bool() {
                    ["1", "2", "open"][random.usize(..3)].to_owned()
                } else {
                    text(random)
                };
                // An empty part, and dots, are of another path.
                let part = if part.is_empty() || part.starts_with('.') {
                    "1".to_owned()
                } else {
                    part
                };
                path = path.replace(&format!("{{{name}}}"), &encode(&part));
            }
            "query" if random.u8(..4) == 0 => {
                query.push(format!("{name}={}", encode(&text(random))));
            }
            _ => {}
        }
    }

    let content = operation["requestBody"]["content"].as_object();
    let body = match content.and_then(|content| content.iter().next()) {
        Some((kind, content)) if kind == "application/json" => {
            value(&content["schema"], document, random).to_string()
        }
        Some(_) => text(random),
        None => String::new(),
    };

    (format!("{path}?{}", query.join("&")), body)
}
