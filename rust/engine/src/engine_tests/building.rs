//! Building within gas, time and size, past refused transactions.

use super::*;

/// Candidates in a given order, with a record of the senders left out.
struct Listed {
    transactions: std::vec::IntoIter<TxEnvelope>,
    skipped: Arc<parking_lot::Mutex<Vec<Address>>>,
    last: Address,
}

impl Iterator for Listed {
    type Item = Recovered<TxEnvelope>;

    fn next(&mut self) -> Option<Self::Item> {
        use alloy_consensus::transaction::SignerRecoverable;
        let transaction = self.transactions.find(|transaction| {
            !self
                .skipped
                .lock()
                .contains(&transaction.recover_signer().unwrap())
        })?;
        self.last = transaction.recover_signer().unwrap();
        Some(Recovered::new_unchecked(transaction, self.last))
    }
}

impl Candidates for Listed {
    fn skip_sender(&mut self) {
        self.skipped.lock().push(self.last);
    }
}

/// Fill a block of `engine`'s next height from a list.
fn fill(
    engine: &Engine,
    gas_limit: u64,
    transactions: Vec<TxEnvelope>,
    deadline: Instant,
) -> (Vec<B256>, Vec<Address>) {
    let head = engine
        .store()
        .header(engine.head().number)
        .unwrap()
        .unwrap();
    let attributes = BuildAttributes {
        gas_limit,
        ..attributes(engine)
    };
    let header = build::child_header(engine.spec(), &head.0, head.1, &attributes);
    let overlay = Overlay::new(Arc::new(engine.store().latest()), vec![]);
    let factory = execute::executor_factory(engine.spec().clone());
    let skipped = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let candidates = Listed {
        transactions: transactions.into_iter(),
        skipped: skipped.clone(),
        last: Address::ZERO,
    };
    let filled = build::fill(&factory, &overlay, &header, &[], candidates, deadline).unwrap();
    let total: u64 = filled.transactions.len() as u64 * 21_000;
    assert!(filled.outcome.gas_used >= total);
    let hashes = filled
        .transactions
        .iter()
        .map(|transaction| *transaction.tx_hash())
        .collect();
    let skipped = skipped.lock().clone();
    (hashes, skipped)
}

#[test]
fn the_executor_goes_on_after_a_refused_transaction() {
    let engine = open(None);
    let (good, other, bad) = (Account::of(1), Account::of(2), Account::of(3));
    let first = good.transfer(0, Address::repeat_byte(1), 1);
    let second = other.transfer(0, Address::repeat_byte(1), 2);
    let third = good.transfer(1, Address::repeat_byte(1), 3);
    let listed = vec![
        first.clone(),
        bad.transfer(7, Address::ZERO, 1),
        second.clone(),
        good.transfer(0, Address::repeat_byte(9), 9),
        bad.transfer(8, Address::ZERO, 1),
        Account::of(999).transfer(0, Address::ZERO, 1),
        third.clone(),
    ];
    let (included, skipped) = fill(&engine, GAS_LIMIT, listed, soon());
    let expected: Vec<_> = [first, second, third]
        .iter()
        .map(|transaction| *transaction.tx_hash())
        .collect();
    assert_eq!(included, expected);
    // A used nonce does not speak against its sender; a gap and an empty account do.
    assert_eq!(skipped, [bad.address, Account::of(999).address]);
}

#[test]
fn a_block_is_filled_within_gas_and_time() {
    let engine = open(None);
    let accounts = accounts();
    let transfers = || -> Vec<_> {
        accounts
            .iter()
            .map(|account| account.transfer(0, Address::ZERO, 1))
            .collect()
    };
    let (included, _) = fill(&engine, 5 * 21_000 + 20_999, transfers(), soon());
    assert_eq!(included.len(), 5);
    let (included, _) = fill(&engine, GAS_LIMIT, transfers(), Instant::now());
    assert_eq!(included.len(), 0);

    // One that does not fit leaves room for smaller ones of others.
    let large = accounts[0].sign_transaction(alloy_consensus::TxEip1559 {
        to: TxKind::Call(Address::ZERO),
        ..accounts[0].call(0, 100_000)
    });
    let small = accounts[1].transfer(0, Address::ZERO, 1);
    let (included, skipped) = fill(&engine, 90_000, vec![large, small.clone()], soon());
    assert_eq!(included, [*small.tx_hash()]);
    assert_eq!(skipped, [accounts[0].address]);
}

#[test]
fn a_built_block_stays_under_the_size_limit() {
    let engine = open(None);
    let accounts = accounts();
    // With 200,000 bytes each, 41 fit into 8 MiB.
    let transactions: Vec<_> = accounts
        .iter()
        .flat_map(|account| {
            (0..10).map(|nonce| {
                account.sign_transaction(alloy_consensus::TxEip1559 {
                    to: TxKind::Call(Address::ZERO),
                    input: vec![0; 200_000].into(),
                    ..account.call(nonce, 2_100_000)
                })
            })
        })
        .collect();
    let (included, skipped) = fill(&engine, 1_000_000_000, transactions, soon());
    assert_eq!(included.len(), 41);
    assert!(!skipped.is_empty());
}

#[test]
fn attributes_that_no_block_may_have_are_refused() {
    let engine = open(None);
    let build = |change: fn(&mut BuildAttributes)| {
        let mut attributes = attributes(&engine);
        change(&mut attributes);
        engine
            .build(engine.head().hash, &attributes, soon())
            .map(|_| ())
    };
    assert!(build(|_| ()).is_ok());
    for (name, result) in [
        (
            "time",
            build(|attributes| attributes.timestamp = testing::GENESIS_TIME),
        ),
        ("gas limit", build(|attributes| attributes.gas_limit *= 2)),
        (
            "extra data",
            build(|attributes| attributes.extra_data = vec![0; 33].into()),
        ),
    ] {
        assert!(
            matches!(result, Err(EngineError::InvalidInput(_))),
            "{name}: {result:?}"
        );
    }
    let unknown = engine.build(B256::ZERO, &attributes(&engine), soon());
    assert!(
        matches!(unknown, Err(EngineError::NotFound(_))),
        "{unknown:?}"
    );
}

fn recorded(engine: &Engine) -> Vec<(&'static str, u64)> {
    let phases = engine.work().phases.into_iter();
    phases
        .map(|(name, taken)| (name, taken.buckets.iter().sum()))
        .collect()
}

#[test]
fn a_preview_is_no_work_on_the_chain() {
    let engine = open(None);
    submit(&engine, &[accounts()[0].transfer(0, Address::ZERO, 1)]);
    let attributes = attributes(&engine);
    let preview = engine
        .preview(engine.head().hash, &attributes, None, soon())
        .unwrap();
    assert_eq!(preview.block.transactions.len(), 1);
    assert!(recorded(&engine).iter().all(|(_, times)| *times == 0));
    assert_eq!(engine.work().gas_per_second, 0);
}

#[test]
fn the_phases_of_an_own_block_and_of_another_s_are_timed() {
    let (proposer, follower) = (open(None), open(None));
    submit(
        &proposer,
        &[
            accounts()[0].transfer(0, Address::ZERO, 1),
            accounts()[1].transfer(0, Address::ZERO, 1),
        ],
    );
    let built = produce(&proposer);
    assert_eq!(
        recorded(&proposer),
        [
            ("build", 1),
            ("validate", 0),
            ("execute", 0),
            ("state_root", 1),
            ("commit", 1)
        ]
    );
    assert!(proposer.work().gas_per_second > 0);

    let block = &built.block;
    follower
        .validate(&block.encode(), &requests(block))
        .unwrap();
    assert_eq!(
        follower
            .work()
            .transactions
            .iter()
            .map(|one| one.2)
            .sum::<u64>(),
        0
    );
    follower.finalize(block.hash).unwrap();
    assert_eq!(
        recorded(&follower),
        [
            ("build", 0),
            ("validate", 1),
            ("execute", 1),
            ("state_root", 1),
            ("commit", 1)
        ]
    );
    let work = follower.work();
    assert_eq!(work.store_commit.buckets.iter().sum::<u64>(), 1);
    assert!(work.gas_per_second > 0);
    let counted: Vec<_> = work
        .transactions
        .into_iter()
        .filter(|one| one.2 > 0)
        .collect();
    let kind = block.transactions[0].tx_type() as usize;
    assert_eq!(counted, [(kind, true, 2)]);
}
