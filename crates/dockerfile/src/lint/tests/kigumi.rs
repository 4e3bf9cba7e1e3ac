//! Our own rules where the examples of their pages do not say enough.

use super::{check, inputs};

#[test]
fn cases_beside_the_examples() {
    check(
        &[
            (
                "KX002",
                "FROM scratch⏎ADD https://example.com/a.git#0123456789012345678901234567890123456789 /",
                "",
            ),
            (
                "KX002",
                "FROM scratch⏎ADD git@example.com:a.git#main /",
                "2",
            ),
            (
                "KX004",
                "FROM scratch⏎ADD https://u:${T}@example.com/a /",
                "",
            ),
            ("KX004", "FROM scratch⏎ENV a=postgres://u:p@h/db", "2"),
            ("KX005", "FROM a:1⏎RUN curl a | tee b", ""),
            ("KX005", "FROM a:1⏎RUN wget -qO- a | bash -x", "2"),
            ("KX010", "FROM scratch AS b⏎FROM b⏎USER x", "3"),
            ("KX010", "FROM a:1⏎USER x", ""),
            ("KX010", "FROM gcr.io/distroless/static:1⏎USER nonroot", ""),
            (
                "KX104",
                "FROM scratch⏎COPY --chown=a x /⏎COPY --chown=b y /",
                "2",
            ),
            ("KX104", "FROM a:1⏎COPY --chown=a x /", ""),
            ("KX105", "FROM scratch⏎WORKDIR /etc⏎COPY a hosts", ""),
            ("KX106", "FROM scratch⏎ARG a⏎COPY ${a:-b} /", ""),
            ("KX106", "FROM a:1⏎COPY $from_the_base /", ""),
            ("KX107", "FROM scratch⏎COPY a b /d", "2"),
            ("KX109", "FROM scratch⏎COPY --chmod=0644 a /a", ""),
            ("KX109", "FROM scratch⏎COPY --chmod=0755 a /b/a", ""),
            (
                "KX110",
                "FROM scratch AS b⏎VOLUME /d⏎FROM b⏎COPY a /d/a",
                "4",
            ),
            ("KX110", "FROM scratch⏎VOLUME /d⏎COPY a /data", ""),
            ("KX111", "FROM scratch⏎ARG a⏎ENV a=1", "3"),
            ("KX111", "FROM scratch⏎ARG a⏎ENV a=${a:-1}", ""),
        ],
        &inputs(),
    );
}
