//! One POST as gitoxide has it: a writer for the body, a reader for the headers, a reader for the answer. It is sent when its answer is first
//! looked at; by then its body is complete.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::rc::Rc;

use super::http::Way;
use super::network::HttpAnswer;

/// The request, then its answer.
pub(super) struct Exchange<'a> {
    way: Rc<Way<'a>>,
    state: RefCell<State>,
}

enum State {
    Pending {
        url: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    Answered {
        content_type: String,
        body: Option<Box<dyn Read>>,
    },
}

impl State {
    fn of(answer: HttpAnswer) -> Self {
        Self::Answered {
            content_type: answer.content_type.unwrap_or_default(),
            body: Some(answer.body),
        }
    }
}

impl<'a> Exchange<'a> {
    pub(super) fn pending(
        way: &Rc<Way<'a>>,
        url: &str,
        headers: Vec<(String, String)>,
    ) -> Rc<Self> {
        Self::with(
            way,
            State::Pending {
                url: url.to_owned(),
                headers,
                body: Vec::new(),
            },
        )
    }

    pub(super) fn answered(way: &Rc<Way<'a>>, answer: HttpAnswer) -> Rc<Self> {
        Self::with(way, State::of(answer))
    }

    fn with(way: &Rc<Way<'a>>, state: State) -> Rc<Self> {
        Rc::new(Self {
            way: Rc::clone(way),
            state: RefCell::new(state),
        })
    }

    /// Sends the request unless it was.
    fn settle(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let State::Pending { url, headers, body } = &mut *state else {
            return Ok(());
        };
        let (headers, body) = (std::mem::take(headers), std::mem::take(body));
        let way = &self.way;
        let answer = way.parse(url).and_then(|url| {
            let answer = way.send(&url, headers, Some(body))?;
            way.accept(answer, &url)
        });
        *state = State::of(answer.map_err(|error| way.fail(error))?);
        Ok(())
    }
}

/// The body of the request.
pub(super) struct Collected<'a>(Rc<Exchange<'a>>);

impl<'a> Collected<'a> {
    pub(super) fn new(exchange: &Rc<Exchange<'a>>) -> Self {
        Self(Rc::clone(exchange))
    }
}

impl Write for Collected<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.state.borrow_mut() {
            State::Pending { body, .. } => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            State::Answered { .. } => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The headers of the answer, one per line: the one that anybody asks for.
pub(super) struct Headers<'a> {
    exchange: Rc<Exchange<'a>>,
    lines: Option<Cursor<Vec<u8>>>,
}

impl<'a> Headers<'a> {
    pub(super) fn new(exchange: &Rc<Exchange<'a>>) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            lines: None,
        }
    }

    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.lines.is_none() {
            self.exchange.settle()?;
        }
        let exchange = &self.exchange;
        Ok(self.lines.get_or_insert_with(|| {
            let line = match &*exchange.state.borrow() {
                State::Answered { content_type, .. } => format!("content-type: {content_type}\n"),
                State::Pending { .. } => String::new(),
            };
            Cursor::new(line.into_bytes())
        }))
    }
}

impl Read for Headers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for Headers<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(count);
        }
    }
}

/// The body of the answer.
pub(super) struct Body<'a> {
    exchange: Rc<Exchange<'a>>,
    reader: Option<BufReader<Box<dyn Read>>>,
}

impl<'a> Body<'a> {
    pub(super) fn new(exchange: &Rc<Exchange<'a>>) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            reader: None,
        }
    }

    fn reader(&mut self) -> io::Result<&mut BufReader<Box<dyn Read>>> {
        if self.reader.is_none() {
            self.exchange.settle()?;
        }
        let exchange = &self.exchange;
        Ok(self.reader.get_or_insert_with(|| {
            let body = match &mut *exchange.state.borrow_mut() {
                State::Answered { body, .. } => body.take(),
                State::Pending { .. } => None,
            };
            BufReader::with_capacity(64 << 10, body.unwrap_or_else(|| Box::new(io::empty())))
        }))
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader()?.read(buffer)
    }
}

impl BufRead for Body<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader()?.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Some(reader) = &mut self.reader {
            reader.consume(count);
        }
    }
}
