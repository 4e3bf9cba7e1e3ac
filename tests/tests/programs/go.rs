//! A Go program: the compiler reads the context through bind mounts, and keeps its own cache.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Peer};

const DOCKERFILE: &str = r#"
RUN apt-get update && apt-get install -y --no-install-recommends golang-go && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local
RUN --mount=type=bind,target=. --mount=type=cache,target=/root/.cache/go-build \
    go vet ./... && go build -trimpath -o /out/program .
RUN --mount=type=bind,source=greet,target=/src/greet --mount=type=bind,source=go.mod,target=/src/go.mod \
    --mount=type=cache,target=/root/.cache/go-build go test ./greet > /out/tests

FROM scratch
COPY --from=build /out/ /
ENTRYPOINT ["/program"]
"#;

/// T-MNT-11, T-MNT-14
#[test]
fn a_compiler_reads_the_mounted_context_and_leaves_nothing_of_it() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!("FROM {} AS build\n{DOCKERFILE}", lab.debian()?);
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file(".dockerignore", "Dockerfile\n*.secret\n")?
        .file("ignored.secret", "not for the compiler")?
        .file("go.mod", "module example.com/program\n\ngo 1.19\n")?
        .file(
            "main.go",
            "package main\n\nimport (\n\t_ \"embed\"\n\t\"fmt\"\n\n\t\"example.com/program/greet\"\n)\n\n//go:embed words.txt\nvar words string\n\nfunc main() { fmt.Print(greet.Hello(words)) }\n",
        )?
        .file("words.txt", "joinery\n")?
        .file(
            "greet/greet.go",
            "package greet\n\n// Hello greets.\nfunc Hello(name string) string { return \"hello \" + name }\n",
        )?
        .file(
            "greet/greet_test.go",
            "package greet\n\nimport \"testing\"\n\nfunc TestHello(t *testing.T) {\n\tif Hello(\"x\") != \"hello x\" {\n\t\tt.Fatal(Hello(\"x\"))\n\t}\n}\n",
        )?;
    let built = Built::of(lab, context, &[])?;

    let said = Peer::new(lab).podman_run(&built.name, &[])?;
    ensure!(said.stdout == "hello joinery\n", "{said:?}");
    built.has("/tests", "f 0644 0:0")?;
    let mut entries: Vec<&str> = built.top_layer();
    entries.sort_unstable();
    ensure!(entries == ["program", "tests"], "{entries:?}");
    Ok(())
}
