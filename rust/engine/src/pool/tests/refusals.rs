//! Each refusal with its text.

use alloy_consensus::{TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_rlp::Encodable;

use super::{super::AccountCode, *};

fn legacy(nonce: u64) -> TxLegacy {
    TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price: 10 * GWEI,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(0x42)),
        ..TxLegacy::default()
    }
}

fn authorization(authority: &Wallet, nonce: u64) -> SignedAuthorization {
    let authorization = Authorization {
        chain_id: U256::from(CHAIN_ID),
        address: Address::repeat_byte(7),
        nonce,
    };
    let signature =
        sign_message(authority.secret, authorization.signature_hash()).expect("the key is good");
    authorization.into_signed(signature)
}

fn set_code(nonce: u64, authorization_list: Vec<SignedAuthorization>) -> TxEip7702 {
    TxEip7702 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: Address::repeat_byte(0x42),
        authorization_list,
        ..TxEip7702::default()
    }
}

#[test]
fn every_supported_type_is_admitted() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let authority = bench.wallet(2);
    let access_list = AccessList(vec![AccessListItem {
        address: Address::repeat_byte(1),
        storage_keys: vec![B256::ZERO, B256::repeat_byte(1)],
    }]);
    let raws = [
        wallet.sign(legacy(0)),
        wallet.sign(TxEip2930 {
            chain_id: CHAIN_ID,
            nonce: 1,
            gas_price: GWEI,
            gas_limit: 21_000 + 2_400 + 2 * 1_900,
            to: TxKind::Call(Address::ZERO),
            access_list,
            ..TxEip2930::default()
        }),
        wallet.transfer(2),
        wallet.sign(set_code(3, vec![authorization(&authority, 0)])),
    ];
    for raw in raws {
        let answer = bench.add(raw.clone());
        let hash = hash_of(&raw, &answer);
        assert_eq!(bench.pool.sender(&hash), Some(wallet.address));
        assert_eq!(
            *bench
                .pool
                .get(&hash)
                .expect("it is pooled")
                .transaction
                .tx_hash(),
            hash
        );
    }
    assert_eq!(bench.status(), (4, 0));
}

#[test]
fn a_refused_transaction_gets_the_text_of_geth() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let poor = bench.wallet_with(
        2,
        Account {
            balance: U256::from(1_000),
            ..Account::default()
        },
    );
    let used = bench.wallet_with(
        3,
        Account {
            nonce: 7,
            balance: U256::from(ETHER),
            ..Account::default()
        },
    );
    let contract = bench.wallet_with(
        4,
        Account {
            balance: U256::from(ETHER),
            code: AccountCode::Contract { bytes: 23 },
            ..Account::default()
        },
    );
    let known = wallet.transfer(0);
    bench.add(known.clone()).expect("it is good");
    let base = || transfer(1);
    let create = |input: Vec<u8>, gas_limit| {
        wallet.sign(TxEip1559 {
            to: TxKind::Create,
            input: input.into(),
            gas_limit,
            ..base()
        })
    };
    let data = |input: Vec<u8>, gas_limit| {
        wallet.sign(TxEip1559 {
            input: input.into(),
            gas_limit,
            ..base()
        })
    };

    let table: Vec<(&str, Bytes, &str)> = vec![
        ("known", known, "already known"),
        (
            "unprotected",
            wallet.sign(TxLegacy {
                chain_id: None,
                ..legacy(1)
            }),
            "only replay-protected (EIP-155) transactions allowed over RPC",
        ),
        (
            "of another chain",
            wallet.sign(TxEip1559 {
                chain_id: 1,
                ..base()
            }),
            "invalid sender: invalid chain id for signer: have 1 want 1337",
        ),
        (
            "legacy of another chain",
            wallet.sign(TxLegacy {
                chain_id: Some(9),
                ..legacy(1)
            }),
            "invalid sender: invalid chain id for signer: have 9 want 1337",
        ),
        (
            "over 128 KiB",
            data(vec![0; 131_072], 10_000_000),
            "oversized data: transaction size 131190, limit 131072",
        ),
        (
            "with large initcode",
            create(vec![0; 49_153], 10_000_000),
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
        (
            "over the gas cap of EIP-7825",
            data(vec![], 16_777_217),
            "transaction gas limit too high (cap: 16777216, tx: 16777217)",
        ),
        (
            "with a tip above its fee",
            wallet.sign(TxEip1559 {
                max_priority_fee_per_gas: 11 * GWEI,
                ..base()
            }),
            "max priority fee per gas higher than max fee per gas",
        ),
        (
            "with the last nonce",
            wallet.sign(TxEip1559 {
                nonce: u64::MAX,
                ..base()
            }),
            "nonce has max value",
        ),
        (
            "below the intrinsic gas",
            data(vec![], 20_999),
            "intrinsic gas too low: gas 20999, minimum needed 21000",
        ),
        (
            "creation below the intrinsic gas",
            create(vec![1; 33], 53_000),
            "intrinsic gas too low: gas 53000, minimum needed 53532",
        ),
        (
            "below the floor of EIP-7623",
            data(vec![1; 1_000], 40_000),
            "insufficient gas for floor data gas cost: gas 40000, minimum needed 61000",
        ),
        (
            "without a tip",
            wallet.sign(TxEip1559 {
                max_priority_fee_per_gas: 0,
                ..base()
            }),
            "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
        ),
        (
            "with no authorization",
            wallet.sign(set_code(1, vec![])),
            "set code tx must have at least one authorization tuple",
        ),
        (
            "of the past",
            used.transfer(6),
            "nonce too low: next nonce 7, tx nonce 6",
        ),
        (
            "that cannot be paid",
            poor.transfer(0),
            "insufficient funds for gas * price + value: balance 1000, tx cost 210000000000001, overshot 209999999999001",
        ),
        (
            "of a contract",
            contract.transfer(0),
            &format!(
                "sender not an eoa: address {}, len(code): 23",
                contract.address
            )
            .leak()[..],
        ),
        (
            "of no known type",
            Bytes::from_static(&[0x7f, 0xc0]),
            "transaction type not supported",
        ),
        (
            "of type 5",
            Bytes::from_static(&[5, 0xc0]),
            "transaction type not supported",
        ),
        (
            "of type 0 in an envelope",
            Bytes::from_static(&[0, 0xc0]),
            "transaction type not supported",
        ),
        (
            "with blobs",
            Bytes::from_static(&[3, 0xc0]),
            "transaction type not supported: tx type 3 not supported by this pool",
        ),
        (
            "with blobs beside it",
            Bytes::from([&[3][..], &[0xc0; 137_547]].concat()),
            "transaction type not supported: tx type 3 not supported by this pool",
        ),
        ("of no bytes", Bytes::new(), "typed transaction too short"),
        (
            "of one byte",
            Bytes::from_static(&[2]),
            "typed transaction too short",
        ),
        (
            "that is a string",
            Bytes::from_static(&[0x83, 1, 2, 3]),
            "rlp: expected input list",
        ),
        (
            "that is a list of nothing",
            Bytes::from_static(&[0xc0]),
            "rlp: value size exceeds available input length",
        ),
    ];
    for (what, raw, expected) in table {
        assert_eq!(bench.refuse(raw), expected, "a transaction {what}");
    }
    assert_eq!(bench.status(), (1, 0));
}

#[test]
fn a_transaction_over_the_block_gas_limit_is_refused() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.follow(Vec::new(), Vec::new(), BASE_FEE, 8_000_000);
    let raw = wallet.sign(TxEip1559 {
        gas_limit: 8_000_001,
        ..transfer(0)
    });
    assert_eq!(bench.refuse(raw), "exceeds block gas limit");
}

#[test]
fn a_signature_that_is_not_canonical_is_refused() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let transaction = transfer(0);
    let good = sign_message(wallet.secret, transaction.signature_hash()).expect("the key is good");
    let order = U256::from_be_bytes(k256_order());
    let bad = [
        (
            "high s",
            Signature::new(good.r(), order - good.s(), !good.v()),
        ),
        ("zero r", Signature::new(U256::ZERO, good.s(), good.v())),
        ("zero s", Signature::new(good.r(), U256::ZERO, good.v())),
        ("r of the order", Signature::new(order, good.s(), good.v())),
    ];
    for (what, signature) in bad {
        let raw = TxEnvelope::from(transaction.clone().into_signed(signature))
            .encoded_2718()
            .into();
        assert_eq!(
            bench.refuse(raw),
            "invalid sender: invalid transaction v, r, s values",
            "{what}"
        );
    }
}

fn k256_order() -> [u8; 32] {
    alloy_primitives::hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
}

#[test]
fn a_v_that_is_no_parity_is_refused() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let transaction = legacy(0);
    let signature =
        sign_message(wallet.secret, transaction.signature_hash()).expect("the key is good");
    for v in [
        0_u128,
        1,
        26,
        29,
        34,
        u128::from(u64::MAX) * 2 + 37,
        u128::MAX,
    ] {
        let mut fields = Vec::new();
        for field in [
            &transaction.nonce as &dyn Encodable,
            &transaction.gas_price,
            &transaction.gas_limit,
        ] {
            field.encode(&mut fields);
        }
        transaction.to.encode(&mut fields);
        transaction.value.encode(&mut fields);
        transaction.input.encode(&mut fields);
        v.encode(&mut fields);
        signature.r().encode(&mut fields);
        signature.s().encode(&mut fields);
        let mut raw = Vec::new();
        alloy_rlp::Header {
            list: true,
            payload_length: fields.len(),
        }
        .encode(&mut raw);
        raw.extend(fields);
        assert_eq!(
            bench.refuse(raw.into()),
            "invalid sender: invalid transaction v, r, s values",
            "v = {v}"
        );
    }
}

/// Truncated at each length, with each trailing byte, with leading zeros in each integer.
#[test]
fn no_bytes_but_the_canonical_ones_are_admitted() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    for raw in [wallet.transfer(0), wallet.sign(legacy(0))] {
        for length in 0..raw.len() {
            bench.refuse(raw.slice(..length));
        }
        for extra in [0x00, 0x80, 0xc0, 0xff] {
            let mut longer = raw.to_vec();
            longer.push(extra);
            assert_eq!(
                bench.refuse(longer.into()),
                "rlp: input contains more than one value"
            );
        }
    }
    // 0x02 f8 6b | chain id 82 0539 | nonce: 80 for zero; a zero byte instead is not canonical.
    let mut padded = wallet.transfer(0).to_vec();
    assert_eq!(padded[6], 0x80);
    padded[6] = 0x00;
    assert_eq!(
        bench.refuse(padded.into()),
        "rlp: non-canonical integer (leading zero bytes)"
    );
    assert_eq!(bench.status(), (0, 0));
}

#[test]
fn what_an_account_offers_together_must_be_covered() {
    let bench = Bench::new(PoolConfig::default());
    let cost = 210_000_000_000_001_u128;
    let wallet = bench.wallet_with(
        1,
        Account {
            balance: U256::from(3 * cost - 1),
            ..Account::default()
        },
    );
    bench.add(wallet.transfer(0)).expect("it is covered");
    bench
        .add(wallet.transfer(5))
        .expect("it is covered, and waits");
    assert_eq!(
        bench.refuse(wallet.transfer(1)),
        "insufficient funds for gas * price + value: balance 630000000000002, queued cost 420000000000002, \
         tx cost 210000000000001, overshot 1"
    );
    let dearer = wallet.sign(TxEip1559 {
        max_fee_per_gas: 21 * GWEI,
        max_priority_fee_per_gas: 3 * GWEI,
        ..transfer(0)
    });
    assert_eq!(
        bench.refuse(dearer),
        "insufficient funds for gas * price + value: balance 630000000000002, queued cost 420000000000002, \
         tx bumped 231000000000000, overshot 21000000000000"
    );
}

#[test]
fn a_cost_that_overflows_is_not_covered() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet_with(
        1,
        Account {
            balance: U256::MAX - U256::from(1),
            ..Account::default()
        },
    );
    let raw = wallet.sign(TxEip1559 {
        value: U256::MAX,
        ..transfer(0)
    });
    assert!(
        bench
            .refuse(raw)
            .starts_with("insufficient funds for gas * price + value: ")
    );
}

#[test]
fn a_replacement_must_offer_a_tenth_more_of_both_fees() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let offer = |fee: u128, tip: u128| {
        wallet.sign(TxEip1559 {
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: tip,
            ..transfer(0)
        })
    };
    let first = offer(1_000, 100);
    bench.add(first.clone()).expect("it is good");
    for (fee, tip) in [
        (1_099, 110),
        (1_100, 109),
        (2_000, 100),
        (900, 90),
        (1_090, 109),
    ] {
        assert_eq!(
            bench.refuse(offer(fee, tip)),
            "replacement transaction underpriced",
            "{fee}, {tip}"
        );
    }
    let better = offer(1_100, 110);
    bench.add(better.clone()).expect("it is a tenth more");
    assert_eq!(bench.status(), (1, 0));
    assert!(bench.pool.get(&hash(&first)).is_none());
    assert_eq!(
        bench.pool.sender(&hash(&first)),
        Some(wallet.address),
        "its sender is still known"
    );
    assert_eq!(
        bench.pool.best(0).map(|best| best.hash).collect::<Vec<_>>(),
        [hash(&better)]
    );
    assert_eq!(bench.refuse(first), "replacement transaction underpriced");
}

#[test]
fn a_tiny_price_cannot_be_replaced_for_nothing() {
    let bench = Bench::new(PoolConfig {
        tip_min: 1,
        ..PoolConfig::default()
    });
    let wallet = bench.wallet(1);
    let offer = |price: u128, value: u64| {
        wallet.sign(TxEip1559 {
            max_fee_per_gas: price,
            max_priority_fee_per_gas: price,
            value: U256::from(value),
            ..transfer(0)
        })
    };
    bench.add(offer(1, 1)).expect("it is good");
    assert_eq!(
        bench.refuse(offer(1, 2)),
        "replacement transaction underpriced"
    );
    bench.add(offer(2, 3)).expect("it is more");
}

#[test]
fn a_delegated_account_has_one_transaction_in_flight() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet_with(
        1,
        Account {
            balance: U256::from(ETHER),
            code: AccountCode::Delegation,
            ..Account::default()
        },
    );
    assert_eq!(
        bench.refuse(wallet.transfer(1)),
        "gapped-nonce tx from delegated accounts"
    );
    bench.add(wallet.tipping(0, 1)).expect("it is the first");
    assert_eq!(
        bench.refuse(wallet.transfer(1)),
        "in-flight transaction limit reached for delegated accounts"
    );
    bench
        .add(wallet.tipping(0, 20))
        .expect("it may be replaced");
}

#[test]
fn an_authority_has_one_transaction_in_flight() {
    let bench = Bench::new(PoolConfig::default());
    let (sponsor, authority, busy) = (bench.wallet(1), bench.wallet(2), bench.wallet(3));
    let raw = sponsor.sign(set_code(0, vec![authorization(&authority, 0)]));
    let hash = bench.add(raw).expect("it is good");
    bench.add(authority.transfer(0)).expect("it is the first");
    assert_eq!(
        bench.refuse(authority.transfer(1)),
        "in-flight transaction limit reached for delegated accounts"
    );

    bench.add(busy.transfer(0)).expect("it is good");
    bench.add(busy.transfer(1)).expect("it is good");
    let raw = sponsor.sign(set_code(1, vec![authorization(&busy, 2)]));
    assert_eq!(bench.refuse(raw), "authority already reserved");

    // Once the authorization is in a block, the account is judged by its state.
    bench.mine(&[hash]);
    bench
        .add(authority.transfer(1))
        .expect("nothing is reserved any more");
}

#[test]
fn a_state_that_cannot_be_read_is_not_the_senders_fault() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = Wallet::new(u64::MAX);
    assert_eq!(
        bench.refuse(wallet.transfer(0)),
        "storage: the disk is gone"
    );
}

#[test]
fn refusals_are_counted_by_reason() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let raws = vec![
        wallet.transfer(0),
        wallet.transfer(0),
        Bytes::from_static(&[9, 9]),
    ];
    let answers = bench.pool.add(&raws, Origin::Local);
    assert!(answers[0].is_ok());
    assert!(is_refused(&answers[1], &PoolError::AlreadyKnown));
    assert!(is_refused(&answers[2], &PoolError::UnknownType));
    let statistics = bench.pool.statistics();
    let count = |name| {
        statistics
            .refused
            .iter()
            .find(|(reason, _)| *reason == name)
            .expect("it is listed")
            .1
    };
    assert_eq!(
        (
            statistics.added_local,
            count("already_known"),
            count("malformed")
        ),
        (1, 1, 1)
    );
    assert_eq!((statistics.senders, statistics.bytes), (1, raws[0].len()));
}
