//! Expansion of words: every word of every instruction goes through it.

use criterion::{Criterion, criterion_group, criterion_main};
use kigumi_dockerfile::word::expand;

fn words(criterion: &mut Criterion) {
    let lookup = |name: &str| (name != "unset").then(|| format!("value of {name}"));
    for (name, raw) in [
        ("plain", "/usr/local/share/application/data.json"),
        ("variables", "$prefix/share/${name}-${version:-1.0}/$unset"),
        ("patterns", "${path%%.*}/${path##*/}/${path//a/b}"),
        (
            "quotes",
            r#""a $quoted word" 'and a $plain one' and\ an\ escaped"#,
        ),
    ] {
        criterion.bench_function(&format!("expand {name}"), |bencher| {
            bencher.iter(|| expand(std::hint::black_box(raw), &lookup, '\\'));
        });
    }
}

criterion_group!(benches, words);
criterion_main!(benches);
