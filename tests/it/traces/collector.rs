//! A collector, as far as it takes traces: OTLP/HTTP with protobuf, and with a key of its own.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{span::Link, status::StatusCode},
};
use prost::Message as _;

use crate::vendors::{Answer, Call, Fake, Memory, Vendor};

const KEY: &str = "collectors-own-key";

pub struct Collector;

impl Collector {
    pub async fn start() -> Fake<Self> {
        Fake::serve(Self, KEY).await
    }
}

impl Vendor for Collector {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        match check(call) {
            Ok(()) => Answer::new(200, "").with("content-type", "application/x-protobuf"),
            Err(why) => {
                memory.violations.push(why.clone());
                Answer::new(400, why)
            }
        }
    }

    fn open(&self) -> Vec<String> {
        Vec::new()
    }
}

fn check(call: &Call) -> Result<(), String> {
    if (call.method.as_str(), call.target.as_str()) != ("POST", "/v1/traces") {
        return Err(format!("{} {}", call.method, call.target));
    }
    if call.header("content-type") != "application/x-protobuf" {
        return Err(format!("it sends {}", call.header("content-type")));
    }
    if call.header("x-key") != KEY {
        return Err("the key is missing".to_owned());
    }
    ExportTraceServiceRequest::decode(call.body.as_slice())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// A span as it was received.
#[derive(Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty where there is none.
    pub parent: String,
    pub name: String,
    pub begun: u64,
    pub ended: u64,
    pub is_error: bool,
    pub attributes: BTreeMap<String, String>,
    /// As a `traceparent` has them.
    pub links: Vec<String>,
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// An attribute; empty where it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// Those of a name, in the order in which they began.
pub fn by_name<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    let mut found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    found.sort_by_key(|span| span.begun);
    found
}

/// The spans of the requests that were taken.
pub fn spans(calls: &[Call]) -> Vec<Span> {
    let taken = calls.iter().filter(|call| call.status == 200);
    let requests = taken.map(|call| ExportTraceServiceRequest::decode(&call.body[..]).unwrap());
    let mut spans = Vec::new();

    for resource_spans in requests.flat_map(|request| request.resource_spans) {
        let resource = texts(&resource_spans.resource.unwrap().attributes);
        for span in resource_spans
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            let status = span.status.unwrap_or_default();
            spans.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                begun: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
                is_error: status.code == StatusCode::Error as i32,
                attributes: texts(&span.attributes),
                links: span.links.iter().map(link).collect(),
                resource: resource.clone(),
            });
        }
    }

    spans
}

fn link(link: &Link) -> String {
    format!("00-{}-{}-01", hex(&link.trace_id), hex(&link.span_id))
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |one: &KeyValue| {
        let value = match one.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => panic!("{other:?} is no kind of attribute that the bridge has"),
        };
        Some((one.key.clone(), value))
    };
    attributes.iter().filter_map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
