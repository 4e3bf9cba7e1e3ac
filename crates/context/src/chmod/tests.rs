use super::*;

/// `mode of a file or directory (d) | --chmod | result`, T-COPY-05.
const CASES: &str = "
    0604  | 640          | 0640
    0644  | 7777         | 7777
    d0755 | 0            | 0000
    0755  | u+s          | 4755
    0644  | g+s,o+t      | 2644
    d0755 | g+s,o+t      | 2755
    0755  | o+s          | 0755
    0755  | +s           | 6755
    0755  | u+t          | 1755
    0755  | +t           | 1755
    0777  | o=           | 0770
    d0750 | u=rwX,go=rX  | 0755
    0600  | u=rwX,go=rX  | 0644
    0700  | u=rwX,go=rX  | 0755
    0700  | a-x,a+X      | 0711
    0777  | go-rwx       | 0700
    0644  | +w           | 0644
    0444  | +w           | 0644
    0444  | a+w          | 0666
    4755  | u=rx         | 0555
    6755  | =r           | 0444
    1755  | a=rx         | 1555
    0640  | o=g          | 0644
    0640  | g=u          | 0660
    0751  | u+rw-x       | 0651
    0700  | g+u,o+g      | 0777
    0755  | u=           | 0055
    0711  | go=u-w       | 0755
";

#[test]
fn modes_are_changed_as_bsd_does_t_copy_05() {
    for case in CASES.lines().filter(|line| !line.trim().is_empty()) {
        let [before, written, expected] = case
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let (is_directory, digits) = match before.strip_prefix('d') {
            Some(digits) => (true, digits),
            None => (false, before),
        };
        let mode = Mode::new(u32::from_str_radix(digits, 8).unwrap());
        let changed = Chmod::parse(written).unwrap().apply(mode, is_directory);
        assert_eq!(changed.to_string(), expected, "{case}");
    }
}

#[test]
fn what_is_no_mode_is_refused_by_name() {
    for written in [
        "10000", "8", "", "u", "rwx", "u+q", "u+r,", "z+r", "u+r;g+r", "0x1", "-", ",",
    ] {
        match Chmod::parse(written) {
            Err(error) => assert_eq!(error.written, written),
            // A lone operator is a clause that changes nothing, as for chmod(1).
            Ok(_) => assert_eq!(written, "-"),
        }
    }
}

#[test]
fn implied_directories_take_an_octal_mode_without_its_upper_bits() {
    let implied = |written| {
        Chmod::parse(written)
            .unwrap()
            .implied_directory()
            .to_string()
    };
    assert_eq!(implied("4751"), "0751");
    assert_eq!(implied("go-rwx"), "0755");
}
