//! A connection that is kept, as a mail server keeps it: one mail after the other, each
//! acknowledged.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::harness::client;

/// A way to one bridge.
pub enum Line {
    Smtp(BufReader<TcpStream>),
    Http(String),
}

impl Line {
    pub async fn smtp(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        expect(&mut stream, '2').await?;
        stream.write_all(b"EHLO mail.example.com\r\n").await?;
        expect(&mut stream, '2').await?;
        Ok(Self::Smtp(stream))
    }

    /// Done once the mail is acknowledged.
    pub async fn send(&mut self, mail: &[u8]) -> io::Result<()> {
        match self {
            Self::Smtp(stream) => {
                let envelope =
                    "MAIL FROM:<bounce@am.atlassian.com>\r\nRCPT TO:<alerts@example.com>\r\n";
                let mut all = format!("{envelope}BDAT {} LAST\r\n", mail.len()).into_bytes();
                all.extend_from_slice(mail);
                stream.write_all(&all).await?;
                for _ in 0..3 {
                    expect(stream, '2').await?;
                }
                Ok(())
            }
            Self::Http(url) => {
                let request = client()
                    .post(url.as_str())
                    .header("content-type", "message/rfc822")
                    .body(mail.to_vec());
                let reply = request.send().await.map_err(io::Error::other)?;
                if reply.status() == 202 {
                    Ok(())
                } else {
                    Err(io::Error::other(reply.status().to_string()))
                }
            }
        }
    }
}

async fn expect(stream: &mut BufReader<TcpStream>, class: char) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return if line.starts_with(class) {
                Ok(())
            } else {
                Err(io::Error::other(line))
            };
        }
    }
}
