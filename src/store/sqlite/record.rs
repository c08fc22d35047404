//! The first commit: the mails as they arrived, and how far their mailbox was read.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{optional_time_at, time_at};
use crate::{
    message::{Bookmark, MailId, Wanted},
    store::kept::{Packed, micros, signed},
};

pub(super) fn record(
    connection: &Connection,
    mails: &[Packed],
    bookmark: Option<&Bookmark>,
) -> rusqlite::Result<Vec<MailId>> {
    let mut head = connection.prepare_cached(
        "INSERT INTO mails (ingress, arrived_at, size, cut_from, sha256, envelope, authenticity,
                            withheld, cut_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;

    let mut body = connection.prepare_cached("INSERT INTO bodies (mail, raw) VALUES (?1, ?2)")?;
    let mut ids = Vec::with_capacity(mails.len());

    for Packed {
        message,
        authenticity,
        envelope,
        sha256,
        body: raw,
        cut_at,
    } in mails
    {
        let id = head.insert(params![
            message.ingress,
            micros(message.arrived_at),
            signed(message.raw.len() as u64),
            message.cut_from.map(signed),
            sha256,
            envelope,
            authenticity,
            message.withheld,
            cut_at,
        ])?;
        body.execute(params![id, raw])?;
        ids.push(id);
    }

    if let Some(bookmark) = bookmark {
        remember(connection, bookmark)?;
    }

    Ok(ids)
}

fn remember(connection: &Connection, bookmark: &Bookmark) -> rusqlite::Result<()> {
    let Bookmark {
        mailbox,
        uid_validity,
        last_uid,
        wanted,
        given,
        rewound,
        starts_at,
    } = bookmark;

    connection
        .prepare_cached(
            "INSERT INTO bookmarks (mailbox, uid_validity, last_uid, starts_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (mailbox) DO UPDATE SET uid_validity = ?2, last_uid = ?3,
               starts_at = coalesce(starts_at, ?4)",
        )?
        .execute(params![
            mailbox,
            uid_validity,
            last_uid,
            starts_at.map(micros)
        ])?;

    connection
        .prepare_cached(
            "DELETE FROM wanted_mails WHERE mailbox = ?1 AND (uid_validity <> ?2 OR ?3)",
        )?
        .execute(params![mailbox, uid_validity, rewound])?;

    for Wanted { uid, since, told } in wanted {
        connection
            .prepare_cached(
                "INSERT INTO wanted_mails (mailbox, uid_validity, uid, since, told)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET told = max(told, excluded.told)",
            )?
            .execute(params![mailbox, uid_validity, uid, micros(*since), told])?;
    }

    for uid in given {
        connection
            .prepare_cached(
                "DELETE FROM wanted_mails WHERE mailbox = ?1 AND uid_validity = ?2 AND uid = ?3",
            )?
            .execute(params![mailbox, uid_validity, uid])?;
    }

    Ok(())
}

pub(super) fn bookmark(
    connection: &Connection,
    mailbox: &str,
) -> rusqlite::Result<Option<Bookmark>> {
    let bookmark = connection
        .prepare_cached(
            "SELECT uid_validity, last_uid, starts_at FROM bookmarks WHERE mailbox = ?1",
        )?
        .query_row([mailbox], |row| {
            Ok(Bookmark {
                starts_at: optional_time_at(row, "starts_at")?,
                ..Bookmark::at(mailbox, row.get(0)?, row.get(1)?)
            })
        })
        .optional()?;

    let Some(mut bookmark) = bookmark else {
        return Ok(None);
    };
    bookmark.wanted = connection
        .prepare_cached(
            "SELECT uid, since, told FROM wanted_mails WHERE mailbox = ?1 AND uid_validity = ?2
             ORDER BY uid",
        )?
        .query_map(params![mailbox, bookmark.uid_validity], |row| {
            Ok(Wanted {
                uid: row.get(0)?,
                since: time_at(row, "since")?,
                told: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;

    Ok(Some(bookmark))
}
