//! The official cases of execution-apis: requests with the answers that a client must give.

use std::{path::PathBuf, process::Command};

use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable as _};
use alloy_rlp::Decodable as _;
use serde_json::Value;

use crate::Block;

const TESTS: &str = "dev/execution-apis/tests";

/// One request and the answer it must get.
pub(super) struct Case {
    pub(super) file: String,
    pub(super) request: Value,
    pub(super) answer: Value,
}

/// The archive, or `None` with a note where a checkout has none.
fn archive() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("../shared/vectors/vectors.tar.xz");
    if path.exists() {
        return Some(path);
    }
    println!(
        "skipped: the official vectors are not at {}",
        path.display()
    );
    None
}

fn extract(patterns: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("tar")
        .args(["--extract", "--xz", "--to-stdout", "--wildcards", "--file"])
        .arg(archive()?)
        .args(patterns)
        .output()
        .expect("tar runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

/// The cases of one method.
pub(super) fn cases(method: &str) -> Option<Vec<Case>> {
    let text = String::from_utf8(extract(&[&format!("{TESTS}/{method}/*.io")])?).expect("text");
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let mut requests = text.lines().filter_map(|line| line.strip_prefix(">> "));
    let answers = text.lines().filter_map(|line| line.strip_prefix("<< "));
    Some(
        answers
            .enumerate()
            .map(|(index, answer)| Case {
                file: format!("{method} #{index}"),
                request: parse(requests.next().expect("a request for each answer")),
                answer: parse(answer),
            })
            .collect(),
    )
}

/// The blocks of the test chain.
pub(super) fn chain() -> Option<Vec<Block>> {
    let bytes = extract(&[&format!("{TESTS}/chain.rlp")])?;
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
