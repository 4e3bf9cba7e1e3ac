/// Longest piece of a line that is held back until its end comes, in bytes.
const LONGEST_LINE: usize = 16 * 1024;

/// Cuts a stream of bytes into lines. A carriage return ends a line too, so that progress bars do not pile up.
#[derive(Debug, Default)]
pub struct LineSplitter {
    pending: Vec<u8>,
    /// The line was just ended by a carriage return; a newline behind it belongs to that end.
    returned: bool,
}

impl LineSplitter {
    /// Takes bytes and gives every line that is complete, without its end.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        for &byte in bytes {
            let returned = std::mem::replace(&mut self.returned, byte == b'\r');
            match byte {
                b'\r' if self.pending.is_empty() => {}
                b'\n' if returned => {}
                b'\n' | b'\r' => line(self.take()),
                byte => {
                    self.pending.push(byte);
                    if self.pending.len() >= LONGEST_LINE {
                        line(self.take());
                    }
                }
            }
        }
    }

    /// What is left without an end of line.
    pub fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line));
        }
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_may_come_in_pieces() {
        assert_eq!(split(&[b"a\nb", b"c\n", b"d"]), ["a", "bc", "d"]);
    }

    #[test]
    fn a_progress_bar_becomes_lines() {
        assert_eq!(split(&[b"10%\r50%\r100%\n"]), ["10%", "50%", "100%"]);
    }

    #[test]
    fn a_return_and_a_newline_are_one_end() {
        assert_eq!(split(&[b"a\r\nb\r", b"\nc\n\n"]), ["a", "b", "c", ""]);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let lines = split(&[&vec![b'x'; LONGEST_LINE * 2 + 1]]);
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [LONGEST_LINE, LONGEST_LINE, 1]
        );
    }
}
