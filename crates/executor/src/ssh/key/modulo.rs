use zeroize::Zeroizing;

/// `value mod (modulus - 1)` of unsigned big-endian numbers, for the two exponents that OpenSSH leaves out of its files.
///
/// Bit by bit: it is done twice for a key. How long it takes depends on the numbers; nobody but the executor itself can measure it, once.
pub(super) fn modulo_predecessor(value: &[u8], modulus: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut modulus = Zeroizing::new(modulus.to_vec());
    // Primes are odd: the predecessor differs in the last bit.
    *modulus.last_mut().filter(|last| **last & 1 == 1)? &= 0xfe;
    if modulus.iter().all(|byte| *byte == 0) {
        return None;
    }
    // One byte more, for what a shift pushes out.
    modulus.insert(0, 0);
    let mut rest = Zeroizing::new(vec![0; modulus.len()]);
    for byte in value {
        for bit in (0..8).rev() {
            shift_in(&mut rest, byte >> bit & 1);
            if rest.as_slice() >= modulus.as_slice() {
                subtract(&mut rest, &modulus);
            }
        }
    }
    Some(rest)
}

fn shift_in(number: &mut [u8], bit: u8) {
    let mut carry = bit;
    for byte in number.iter_mut().rev() {
        let pushed = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = pushed;
    }
}

fn subtract(from: &mut [u8], what: &[u8]) {
    let mut borrow = false;
    for (byte, other) in from.iter_mut().rev().zip(what.iter().rev()) {
        let (less, first) = byte.overflowing_sub(*other);
        let (less, second) = less.overflowing_sub(u8::from(borrow));
        *byte = less;
        borrow = first || second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_remainder(value: u128, modulus in 1..=u64::MAX / 2) {
            let modulus = u128::from(modulus * 2 + 1);
            let rest = modulo_predecessor(&value.to_be_bytes(), &modulus.to_be_bytes()).unwrap();
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&rest[1..]);
            prop_assert_eq!(u128::from_be_bytes(bytes), value % (modulus - 1));
        }
    }

    #[test]
    fn what_is_no_prime_is_refused() {
        assert!(modulo_predecessor(&[5], &[4]).is_none());
        assert!(modulo_predecessor(&[5], &[1]).is_none());
        assert!(modulo_predecessor(&[5], &[]).is_none());
    }
}
