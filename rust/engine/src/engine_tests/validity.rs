//! What makes a block invalid, each with its own code.

use super::*;

/// Change a built block's header and give it the hash that belongs to it.
fn changed(block: &Block, change: impl FnOnce(&mut Header)) -> Bytes {
    let mut header = block.header.clone();
    change(&mut header);
    let block = block.clone();
    Block::from_parts(
        header,
        block.transactions,
        block.senders,
        block.withdrawals,
        block.requests,
    )
    .encode()
}

#[test]
fn each_commitment_to_the_outcome_is_checked() {
    let (builder, engine) = (open(None), open(None));
    submit(
        &builder,
        &[Account::of(1).transfer(0, Address::repeat_byte(3), 1)],
    );
    let block = produce(&builder).block.clone();
    type Change = fn(&mut Header);
    let table: &[(&str, Change)] = &[
        ("state_root", |header| header.state_root = B256::ZERO),
        ("receipts_root", |header| header.receipts_root = B256::ZERO),
        ("logs_bloom", |header| header.logs_bloom.0[0] = 1),
        ("gas_used", |header| header.gas_used += 1),
        ("transactions_root", |header| {
            header.transactions_root = B256::ZERO
        }),
        ("withdrawals_root", |header| {
            header.withdrawals_root = Some(B256::ZERO)
        }),
        ("requests_hash", |header| {
            header.requests_hash = Some(B256::ZERO)
        }),
        ("base_fee", |header| header.base_fee_per_gas = Some(1)),
    ];
    for (expected, change) in table {
        assert_eq!(
            code(engine.validate(&changed(&block, change), &[])),
            *expected
        );
        assert_eq!(engine.undecided(), 0);
    }
    let unknown = changed(&block, |header| header.parent_hash = B256::ZERO);
    assert!(matches!(
        engine.validate(&unknown, &[]),
        Err(EngineError::NotFound(_))
    ));
    // The same header with another body is not the block that is kept.
    engine.validate(&block.encode(), &[]).unwrap();
    let mut body = block.clone();
    body.transactions
        .push(Account::of(2).transfer(0, Address::ZERO, 1));
    assert_eq!(
        code(engine.validate(&body.encode(), &[])),
        "transactions_root"
    );
    assert!(engine.validate(&block.encode(), &[]).is_ok());
}

#[test]
fn a_bad_transaction_makes_the_block_invalid_with_its_own_code() {
    let engine = open(None);
    let builder = open(None);
    let empty = builder
        .build(builder.head().hash, &attributes(&builder), soon())
        .unwrap()
        .block
        .clone();
    let sender = Account::of(1);
    let poor = Account::of(5_000);
    let with = |transaction: TxEnvelope, signer: &Account| {
        let transactions = vec![transaction];
        let mut header = empty.header.clone();
        header.transactions_root =
            alloy_consensus::proofs::calculate_transaction_root(&transactions);
        let block = Block::from_parts(
            header,
            transactions,
            vec![signer.address],
            vec![],
            empty.requests.clone(),
        );
        code(engine.validate(&block.encode(), &[]))
    };
    let call = |change: fn(&mut alloy_consensus::TxEip1559)| {
        let mut call = sender.call(0, 30_000);
        call.to = TxKind::Call(Address::ZERO);
        change(&mut call);
        with(sender.sign_transaction(call), &sender)
    };
    assert_eq!(call(|call| call.nonce = 1), "transaction_nonce_too_high");
    assert_eq!(call(|call| call.chain_id = 1), "transaction_chain_id");
    assert_eq!(
        call(|call| call.value = U256::MAX >> 100),
        "transaction_funds"
    );
    assert_eq!(
        call(|call| call.gas_limit = 20_999),
        "transaction_intrinsic_gas"
    );
    assert_eq!(
        call(|call| call.gas_limit = (1 << 24) + 1),
        "transaction_gas_limit"
    );
    assert_eq!(
        call(|call| (call.max_fee_per_gas, call.max_priority_fee_per_gas) = (1, 1)),
        "transaction_base_fee"
    );
    assert_eq!(
        with(poor.transfer(0, Address::ZERO, 1), &poor),
        "transaction_funds"
    );
}
