//! Programs that tests write and the product runs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program that may be run at once.
///
/// A process of its own writes it: what another test starts at this moment would inherit a descriptor of ours until it has become another
/// program, and the kernel runs nothing that anybody has open for writing (`ETXTBSY`, execve(2)).
///
/// # Panics
/// When it cannot be written.
pub fn write_program(path: &Path, text: &str) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "/bin/cat > \"$0\" && /bin/chmod 0755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut stdin = writer.stdin.take().expect("its input");
    stdin
        .write_all(text.as_bytes())
        .expect("a shell that reads");
    drop(stdin);
    let status = writer.wait().expect("a shell that ends");
    assert!(status.success(), "write {}: {status}", path.display());
}
