//! What is sent, and which of it is to end in a webhook.

use std::{borrow::Cow, collections::HashSet, fs};

use alertbridge::clock::Clock;
use jiff::{fmt::rfc2822, tz::TimeZone};
use serde_json::Value;

use super::Arguments;

pub enum Load {
    /// Mails from files.
    Corpus(Vec<Mail>),
    /// The same texts again and again, in turn, under fresh keys; all of them page.
    Templates {
        texts: Vec<String>,
        run: u64,
        count: usize,
        form: Form,
    },
}

/// What a mail looks like on its way.
#[derive(Clone, Copy)]
pub enum Form {
    /// As it is: over HTTP.
    Plain,
    /// CRLF, dots stuffed, ended by a dot (RFC 5321, 4.5.2).
    Data,
    /// CRLF alone (RFC 3030).
    Chunk,
}

pub struct Mail {
    wire: Vec<u8>,
    key: String,
    pages: bool,
}

impl Load {
    pub fn new(arguments: &Arguments) -> Self {
        let form = match arguments {
            Arguments { smtp, .. } if smtp.is_empty() => Form::Plain,
            Arguments { chunking: true, .. } => Form::Chunk,
            _ => Form::Data,
        };
        if let Some(folder) = &arguments.corpus {
            let truth = fs::read_to_string(folder.join("truth.jsonl"))
                .expect("the corpus has no truth.jsonl");
            let truth = truth
                .lines()
                .take(arguments.mails)
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            let mails = truth.map(|truth| {
                let raw = fs::read(folder.join(truth["file"].as_str().unwrap())).unwrap();
                Mail {
                    wire: form.of(raw),
                    key: truth["incidentId"].as_str().unwrap().to_owned(),
                    pages: truth["outcome"] == "deliver",
                }
            });
            return Self::Corpus(mails.collect());
        }
        let read = |path| fs::read_to_string(path).unwrap();
        let mut texts: Vec<_> = arguments.template.iter().map(read).collect();
        if texts.is_empty() {
            texts.push(small_mail());
        }
        Self::Templates {
            texts,
            run: fastrand::u64(..1 << 32),
            count: arguments.mails,
            form,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Corpus(mails) => mails.len(),
            Self::Templates { count, .. } => *count,
        }
    }

    /// As it goes over the wire; none after the last.
    pub fn get(&self, index: usize) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Corpus(mails) => mails
                .get(index)
                .map(|mail| Cow::Borrowed(mail.wire.as_slice())),
            Self::Templates { count, .. } if index >= *count => None,
            Self::Templates { texts, form, .. } => {
                let text = texts[index % texts.len()].replace("@KEY@", &self.key(index));
                Some(Cow::Owned(form.of(text.into_bytes())))
            }
        }
    }

    pub fn key(&self, index: usize) -> String {
        match self {
            Self::Corpus(mails) => mails[index].key.clone(),
            Self::Templates { run, .. } => format!("{run:08x}-{index:08}"),
        }
    }

    pub fn pages(&self, index: usize) -> bool {
        match self {
            Self::Corpus(mails) => mails[index].pages,
            Self::Templates { .. } => true,
        }
    }

    pub fn expected(&self) -> usize {
        (0..self.len()).filter(|&index| self.pages(index)).count()
    }

    /// The ids a webhook may be about; none: all that follow the pattern.
    pub fn known(&self) -> Option<HashSet<String>> {
        match self {
            Self::Corpus(mails) => Some(mails.iter().map(|mail| mail.key.clone()).collect()),
            Self::Templates { .. } => None,
        }
    }
}

impl Form {
    fn of(self, raw: Vec<u8>) -> Vec<u8> {
        if matches!(self, Self::Plain) {
            return raw;
        }
        let dots = matches!(self, Self::Data);
        let mut wire = Vec::with_capacity(raw.len() + 64);
        for line in raw.split_inclusive(|&byte| byte == b'\n') {
            if dots && line[0] == b'.' {
                wire.push(b'.');
            }
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            wire.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            wire.extend_from_slice(b"\r\n");
        }
        if dots {
            wire.extend_from_slice(b".\r\n");
        }
        wire
    }
}

/// An alert of 1 KB, dated now.
fn small_mail() -> String {
    let now = Clock::system().now();
    let date = rfc2822::to_string(&now.to_zoned(TimeZone::UTC)).unwrap();
    format!(
        "From: Atlassian <no-reply@am.atlassian.com>\nTo: alerts@example.com\n\
         Subject: Cloud Fortified\nDate: {date}\nMessage-ID: <@KEY@@example.com>\n\
         MIME-Version: 1.0\nContent-Type: text/html; charset=UTF-8\n\n\
         <html><body><p>Objective breached.</p>\n\
         <script type=\"application/json\" id=\"incident-data\">\
         {{\"appKey\":\"com.example.load\",\"incidentId\":\"@KEY@\",\
         \"incidentStatus\":\"ANOMALOUS\",\"time\":\"{now}\",\
         \"metricName\":\"Jira App Availability\",\"metricUnit\":\"PERCENT\",\
         \"sliValue\":61.25,\"sloValue\":99.0}}</script>\n\
         </body></html>\n"
    )
}
