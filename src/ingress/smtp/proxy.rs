//! Reads the header in which a load balancer names its client (the PROXY protocol of `HAProxy`,
//! version 2).
//!
//! The header is read to its last byte and no further: the client's bytes follow, perhaps a TLS
//! handshake.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header. Addresses take at most 36 bytes; the rest are extensions (TLVs), such as
/// names in certificates, which are not read here.
const MAX_LENGTH: usize = 4096;

/// Why a connection is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it does not begin with a PROXY header of version 2")]
    Signature,
    #[error("a PROXY header of {0} bytes")]
    Length(usize),
    #[error("a PROXY header for something else than TCP")]
    Transport,
    #[error("a PROXY header that is cut off")]
    Short,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header, and returns the client's address; `None` if the balancer speaks for itself, to
/// check that the server is there.
pub(super) async fn client(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<IpAddr>, Malformed> {
    let mut head = [0; 16];
    stream.read_exact(&mut head).await?;

    let [.., version_and_command, family, high, low] = head;
    if head[..12] != SIGNATURE || version_and_command >> 4 != 2 {
        return Err(Malformed::Signature);
    }

    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_LENGTH {
        return Err(Malformed::Length(length));
    }

    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;

    match version_and_command & 0xf {
        0 => Ok(None),
        1 => address(family, &body),
        _ => Err(Malformed::Signature),
    }
}

/// Returns the client's address, which comes first in the body of the header.
fn address(family: u8, body: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    match family {
        0x11 if body.len() >= 12 => Ok(body
            .first_chunk::<4>()
            .map(|&octets| Ipv4Addr::from(octets).into())),
        0x21 if body.len() >= 36 => Ok(body
            .first_chunk::<16>()
            .map(|&octets| Ipv6Addr::from(octets).to_canonical())),
        0x11 | 0x21 => Err(Malformed::Short),
        // No address is given: as far as one can tell, the connection is the balancer's own (2.2).
        0x00 => Ok(None),
        _ => Err(Malformed::Transport),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(head: &[u8], body: &[u8]) -> (Result<Option<IpAddr>, String>, usize) {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        let bytes = [&SIGNATURE, head, &length, body, b"EHLO c\r\n"].concat();
        let mut rest = &bytes[..];
        let result = client(&mut rest).await.map_err(|error| error.to_string());
        (result, rest.len())
    }

    #[tokio::test]
    async fn the_clients_address_is_read_and_no_byte_behind_the_header() {
        let v4 = [
            &[192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0, 0, 25][..],
            b"\x04\0\x02xx",
        ]
        .concat();
        let v6 = ["2001:db8::7", "::1"]
            .map(|address| address.parse::<Ipv6Addr>().unwrap().octets())
            .concat();
        let v6 = [&v6[..], &[0xc0, 0, 0, 25]].concat();
        for (head, body, address) in [
            (&[0x21, 0x11][..], &v4[..], Some("192.0.2.7")),
            (&[0x21, 0x21], &v6, Some("2001:db8::7")),
            (&[0x20, 0x00], b"", None),
            (&[0x20, 0x11], &v4, None),
            (&[0x21, 0x00], b"", None),
        ] {
            assert_eq!(
                read(head, body).await,
                (Ok(address.map(|text| text.parse().unwrap())), 8),
                "{head:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0, 0, 25];
        for (head, body, reason) in [
            (&[0x11, 0x11][..], &v4[..], "version 2"),
            (&[0x22, 0x11], &v4, "version 2"),
            (&[0x21, 0x12], &v4, "something else"),
            (&[0x21, 0x31], &v4, "something else"),
            (&[0x21, 0x11], &v4[..11], "cut off"),
            (&[0x21, 0x21], &v4, "cut off"),
            (&[0x21, 0x11], &[0; MAX_LENGTH + 1], "4097 bytes"),
        ] {
            let error = read(head, body).await.0.unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(matches!(
            client(&mut &b"PROXY TCP4 192.0.2.7 10.0.0.1 1 25\r\n"[..]).await,
            Err(Malformed::Signature)
        ));
        assert!(matches!(
            client(&mut &SIGNATURE[..]).await,
            Err(Malformed::Io(_))
        ));
    }
}
