/// A value that no log, error or debug output may show: it has neither `Display` nor `Debug`.
#[expect(
    missing_debug_implementations,
    reason = "the point of the type is that it cannot be printed"
)]
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that sends it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}
