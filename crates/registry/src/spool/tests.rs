use std::io::{Read, Write};
use std::thread;

use futures_util::TryStreamExt;
use kigumi_oci::Digester;

use super::*;

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect()
}

fn write_in_pieces(mut writer: SpoolWriter, bytes: &[u8]) {
    let mut digester = Digester::new();
    for piece in bytes.chunks(70_001) {
        writer.write_all(piece).unwrap();
        digester.update(piece);
    }
    writer
        .finish(digester.finish(), bytes.len() as u64)
        .unwrap();
}

#[test]
fn every_reader_sees_all_bytes_whether_it_came_before_during_or_after() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    let bytes = pattern(1_000_000);
    let read = |spool: Spool| {
        thread::spawn(move || {
            let mut out = Vec::new();
            spool.reader().read_to_end(&mut out).map(|_| out).unwrap()
        })
    };
    let early = [read(spool.clone()), read(spool.clone())];
    write_in_pieces(writer, &bytes);
    let late = read(spool.clone());
    for reader in early.into_iter().chain([late]) {
        assert!(reader.join().unwrap() == bytes);
    }
}

#[tokio::test]
async fn a_stream_gives_all_bytes_in_bounded_chunks_while_the_spool_grows() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    let bytes = pattern(1_000_000);
    let written = bytes.clone();
    let writing = tokio::task::spawn_blocking(move || write_in_pieces(writer, &written));
    let chunks: Vec<Bytes> = spool.stream().try_collect().await.unwrap();
    writing.await.unwrap();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.len() <= crate::limits::CHUNK)
    );
    assert!(chunks.concat() == bytes);
    assert_eq!(
        spool.finished().await.unwrap(),
        Finished {
            digest: Digest::of(&bytes),
            size: 1_000_000
        }
    );
}

#[tokio::test]
async fn appending_from_async_code_is_the_same_as_writing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, spool) = Spool::create(directory.path()).unwrap();
    writer.append(Bytes::from_static(b"ki")).await.unwrap();
    writer.append(Bytes::from_static(b"gumi")).await.unwrap();
    writer.finish(Digest::of(b"kigumi"), 6).unwrap();
    let mut out = String::new();
    spool.reader().read_to_string(&mut out).unwrap();
    assert_eq!(out, "kigumi");
}

#[tokio::test]
async fn a_failed_writer_fails_every_reader_and_waiter() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, spool) = Spool::create(directory.path()).unwrap();
    writer.write_all(b"half").unwrap();
    let waiting = tokio::spawn({
        let spool = spool.clone();
        async move { spool.finished().await }
    });
    let mut reader = spool.reader();
    let mut four = [0; 4];
    reader.read_exact(&mut four).unwrap();
    writer.fail(Arc::new(io::Error::other("disk on fire")));
    let error = reader.read(&mut four).unwrap_err();
    let failure = error.get_ref().unwrap().source().unwrap();
    assert_eq!(failure.to_string(), "disk on fire");
    waiting.await.unwrap().unwrap_err();
    spool.stream().try_collect::<Vec<_>>().await.unwrap_err();
}

#[test]
fn a_writer_that_is_dropped_or_lies_about_its_size_fails_the_spool() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    drop(writer);
    spool.try_finished().unwrap_err();

    let (mut writer, spool) = Spool::create(directory.path()).unwrap();
    writer.write_all(b"abc").unwrap();
    writer.finish(Digest::of(b"abc"), 4).unwrap_err();
    spool.try_finished().unwrap_err();
}

#[test]
fn a_spool_leaves_no_name_in_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _spool) = Spool::create(directory.path()).unwrap();
    writer.write_all(b"abc").unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn bytes_at_hand_are_a_finished_spool() {
    let spool = Spool::of_bytes(&b"config"[..]);
    let mut out = Vec::new();
    spool.reader().read_to_end(&mut out).unwrap();
    assert_eq!(out, b"config");
    let finished = spool.try_finished().unwrap().unwrap();
    assert_eq!(finished.digest, Digest::of(b"config"));
}

#[tokio::test]
async fn a_spool_is_waited_for_until_its_end_or_until_it_is_large() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, spool) = Spool::create(directory.path()).unwrap();
    let large = tokio::spawn({
        let spool = spool.clone();
        async move { spool.finished_or_beyond(5).await }
    });
    let end = tokio::spawn({
        let spool = spool.clone();
        async move { spool.finished_or_beyond(6).await }
    });
    writer.write_all(b"12345").unwrap();
    tokio::task::yield_now().await;
    assert!(!large.is_finished());
    writer.write_all(b"6").unwrap();
    assert_eq!(large.await.unwrap().unwrap(), None);
    tokio::task::yield_now().await;
    assert!(!end.is_finished());
    let digest = Digest::of(b"123456");
    writer.finish(digest, 6).unwrap();
    assert_eq!(
        end.await.unwrap().unwrap(),
        Some(Finished { digest, size: 6 })
    );
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    drop(writer);
    spool.finished_or_beyond(5).await.unwrap_err();
}

#[test]
fn what_the_only_reader_has_read_is_given_back_while_it_reads() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    let bytes = pattern(20_000_000);
    write_in_pieces(writer, &bytes);
    spool.pass();
    let mut reader = spool.reader();
    let mut out = vec![0; 15_000_000];
    reader.read_exact(&mut out).unwrap();
    let again = |offset| spool.shared.read_at(&mut [0; 1], offset);
    again(0).unwrap_err();
    assert_eq!(again(15_000_000).unwrap(), 1);
    reader.read_to_end(&mut out).unwrap();
    assert!(out == bytes);
}

#[tokio::test]
async fn who_comes_after_the_only_reader_gets_an_error_and_no_zeros() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    write_in_pieces(writer, &pattern(15_000_000));
    spool.pass();
    assert!(spool.passes());
    io::copy(&mut spool.reader(), &mut io::sink()).unwrap();
    let error = spool.reader().read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.to_string(), Error::SpoolPassed.to_string());
    spool.stream().try_collect::<Vec<_>>().await.unwrap_err();
}

#[test]
fn what_nobody_said_is_read_once_can_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    write_in_pieces(writer, &pattern(15_000_000));
    for _ in 0..2 {
        let count = io::copy(&mut spool.reader(), &mut io::sink()).unwrap();
        assert_eq!(count, 15_000_000);
    }
}
