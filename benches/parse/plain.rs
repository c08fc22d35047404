//! What a team would write: the crates' own front doors, one after the other.

use std::{collections::HashSet, path::Path};

use alertbridge::validate::BUILT_IN;
use mail_parser::MessageParser;
use rusqlite::Connection;
use scraper::{Html, Selector};
use serde_json::Value;

use super::SENDER;

pub struct Plain {
    selector: Selector,
    schema: jsonschema::Validator,
}

impl Plain {
    pub fn new() -> Self {
        let schema: Value = serde_json::from_str(BUILT_IN).unwrap();
        Self {
            selector: Selector::parse("script#incident-data[type='application/json']").unwrap(),
            schema: jsonschema::validator_for(&schema).unwrap(),
        }
    }

    pub fn read_all(&self, mails: &[Vec<u8>]) -> usize {
        mails.iter().filter_map(|mail| self.read(mail)).count()
    }

    /// Whether each is new, by a map.
    pub fn decide_in_memory(&self, mails: &[Vec<u8>]) -> usize {
        let mut known = HashSet::new();
        let alerts = mails.iter().filter_map(|mail| self.read(mail));
        alerts
            .filter(|json| {
                known.insert(format!("{}{}", json["incidentId"], json["incidentStatus"]))
            })
            .count()
    }

    /// Whether each is new, by a commit of its own.
    pub fn decide(&self, path: &Path, mails: &[Vec<u8>]) -> usize {
        let store = Connection::open(path).unwrap();
        let schema = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            CREATE TABLE incident (id TEXT, status TEXT, json TEXT NOT NULL, PRIMARY KEY (id, \
            status)) WITHOUT ROWID";
        store.execute_batch(schema).unwrap();
        let mut insert = store
            .prepare(
                "INSERT INTO incident (id, status, json) VALUES (?1, ?2, ?3) ON CONFLICT DO \
                      NOTHING",
            )
            .unwrap();
        let alerts = mails.iter().filter_map(|mail| self.read(mail));
        alerts
            .map(|json| {
                let row = (
                    json["incidentId"].as_str(),
                    json["incidentStatus"].as_str(),
                    json.to_string(),
                );
                insert.execute(row).unwrap()
            })
            .sum()
    }

    fn read(&self, mail: &[u8]) -> Option<Value> {
        let message = MessageParser::default().parse(mail)?;
        if message.from()?.first()?.address()? != SENDER {
            return None;
        }
        let document = Html::parse_document(&message.body_html(0)?);
        let text: String = document.select(&self.selector).next()?.text().collect();
        let json: Value = serde_json::from_str(&text).ok()?;
        self.schema.is_valid(&json).then_some(json)
    }
}
