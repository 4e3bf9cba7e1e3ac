//! Where the bytes of a process go.

/// Which of the two streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// Receives the output of a process while it runs.
pub trait Output {
    /// Takes bytes as they came: any length from 1 to 64 KiB, not lines, not necessarily UTF-8.
    /// Order holds within a stream; between the two it is approximate.
    fn chunk(&mut self, stream: Stream, bytes: &[u8]);
}

impl<F: FnMut(Stream, &[u8])> Output for F {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        self(stream, bytes);
    }
}
