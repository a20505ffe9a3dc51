//! The official cases of execution-apis: requests with the answers that a client must give.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable as _};
use alloy_rlp::Decodable as _;
use serde_json::Value;

use crate::Block;

const TESTS: &str = "dev/execution-apis/tests";

/// One request and the answer it must get.
pub(super) struct Case {
    pub(super) request: Value,
    pub(super) answer: Value,
}

/// The archive, or `None` with a note where a checkout has none.
fn archive() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("../shared/vectors/vectors.tar.xz");
    let path = std::env::var_os("METANODE_VECTORS").map_or(path, PathBuf::from);
    assert!(
        !path.is_dir(),
        "METANODE_VECTORS is the directory {}; the tests of Rust unpack the archive themselves: name vectors.tar.xz",
        path.display()
    );
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI may not skip: put vectors.tar.xz at {}",
        path.display()
    );
    println!(
        "skipped: put vectors.tar.xz at {} or name it in METANODE_VECTORS",
        path.display()
    );
    None
}

fn extract(pattern: &str) -> Option<Vec<u8>> {
    let output = Command::new("tar")
        .args(["--extract", "--xz", "--to-stdout", "--wildcards", "--file"])
        .arg(archive()?)
        .arg(format!("{TESTS}/{pattern}"))
        .output()
        .expect("tar runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

/// All cases; none where there are no vectors.
pub(super) fn all() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        extract("*/*.io")
            .map(|text| parse(&text))
            .unwrap_or_default()
    })
}

fn parse(text: &[u8]) -> Vec<Case> {
    let text = str::from_utf8(text).expect("text");
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let mut requests = text.lines().filter_map(|line| line.strip_prefix(">> "));
    let answers = text.lines().filter_map(|line| line.strip_prefix("<< "));
    answers
        .map(|answer| Case {
            request: parse(requests.next().expect("a request for each answer")),
            answer: parse(answer),
        })
        .collect()
}

/// The cases of one method.
pub(super) fn cases(method: &str) -> impl Iterator<Item = &'static Case> {
    all()
        .iter()
        .filter(move |case| case.request["method"] == method)
}

/// The blocks of the test chain.
pub(super) fn chain() -> Option<Vec<Block>> {
    let bytes = extract("chain.rlp")?;
    let mut rest = bytes.as_slice();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let before = rest.len();
        let block = alloy_consensus::Block::<TxEnvelope>::decode(&mut rest).expect("a block");
        blocks.push(Block {
            hash: block.header.hash_slow(),
            senders: block
                .body
                .transactions
                .iter()
                .map(|transaction| transaction.recover_signer().expect("a signature"))
                .collect(),
            header: block.header,
            transactions: block.body.transactions,
            withdrawals: block.body.withdrawals.unwrap_or_default().into_inner(),
            ommers: block.body.ommers,
            requests: Default::default(),
            size: before - rest.len(),
        });
    }
    Some(blocks)
}
