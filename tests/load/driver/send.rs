//! One connection to the server under load, kept for all its mails.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::Arguments;

const ENVELOPE: &str = "MAIL FROM:<bounce@am.atlassian.com>\r\nRCPT TO:<alerts@example.com>\r\n";

pub enum Sender {
    Smtp {
        stream: BufReader<TcpStream>,
        chunking: bool,
    },
    Http {
        client: reqwest::Client,
        url: String,
        kind: &'static str,
    },
}

impl Sender {
    #[expect(
        clippy::disallowed_methods,
        reason = "the product's client is what is measured"
    )]
    /// The connection of that number.
    pub async fn open(arguments: &Arguments, number: usize) -> Self {
        if let Some(address) = arguments.smtp.iter().cycle().nth(number) {
            let stream = TcpStream::connect(address)
                .await
                .expect("--smtp: cannot connect");
            stream.set_nodelay(true).unwrap();
            let mut stream = BufReader::new(stream);
            reply(&mut stream).await.expect("no greeting");
            stream
                .write_all(b"EHLO load.example.com\r\n")
                .await
                .unwrap();
            reply(&mut stream).await.expect("no answer to EHLO");
            return Self::Smtp {
                stream,
                chunking: arguments.chunking,
            };
        }
        let url = arguments.post.clone().expect("--smtp or --post is needed");
        let kind = if arguments.template.is_empty() {
            "message/rfc822"
        } else {
            "application/json"
        };
        Self::Http {
            client: reqwest::Client::new(),
            url,
            kind,
        }
    }

    /// Returns once it is acknowledged; else the answer.
    pub async fn send(&mut self, mail: &[u8]) -> Result<(), String> {
        match self {
            Self::Smtp {
                stream,
                chunking: true,
            } => {
                let mut all = format!("{ENVELOPE}BDAT {} LAST\r\n", mail.len()).into_bytes();
                all.extend_from_slice(mail);
                stream
                    .write_all(&all)
                    .await
                    .map_err(|error| error.to_string())?;
                expect(stream, '2').await?;
                expect(stream, '2').await?;
                expect(stream, '2').await
            }
            Self::Smtp {
                stream,
                chunking: false,
            } => {
                let begin = format!("{ENVELOPE}DATA\r\n");
                stream
                    .write_all(begin.as_bytes())
                    .await
                    .map_err(|error| error.to_string())?;
                expect(stream, '2').await?;
                expect(stream, '2').await?;
                expect(stream, '3').await?;
                stream
                    .write_all(mail)
                    .await
                    .map_err(|error| error.to_string())?;
                expect(stream, '2').await
            }
            Self::Http { client, url, kind } => {
                let request = client
                    .post(url.as_str())
                    .header("Content-Type", *kind)
                    .body(mail.to_vec());
                let answer = request.send().await.map_err(|error| error.to_string())?;
                let status = answer.status();
                let _ = answer.bytes().await;
                if status.is_success() {
                    Ok(())
                } else {
                    Err(status.to_string())
                }
            }
        }
    }
}

async fn expect(stream: &mut BufReader<TcpStream>, class: char) -> Result<(), String> {
    let answer = reply(stream).await?;
    if answer.starts_with(class) {
        Ok(())
    } else {
        Err(answer)
    }
}

/// The last line of a reply.
async fn reply(stream: &mut BufReader<TcpStream>) -> Result<String, String> {
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line).await {
            Ok(0) => return Err("the connection was closed".to_owned()),
            Ok(_) if line.as_bytes().get(3) == Some(&b'-') => {}
            Ok(_) => return Ok(line.trim_end().to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
}
