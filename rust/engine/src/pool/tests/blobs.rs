//! Blob transactions, which the pool of an imported chain takes.

use alloy_consensus::{
    BlobTransactionSidecar, BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant,
    SidecarBuilder, SimpleCoder, TxEip4844, TxEip4844WithSidecar, Typed2718,
};
use alloy_eips::{eip2718::Decodable2718, eip4844::Bytes48};

use super::*;

const BLOB_FEE: u128 = 2 * GWEI;

fn importing() -> Bench {
    Bench::new(PoolConfig {
        takes_blobs: true,
        ..PoolConfig::default()
    })
}

fn builder() -> SidecarBuilder<SimpleCoder> {
    SidecarBuilder::from_slice(b"what a rollup writes")
}

fn sidecar() -> BlobTransactionSidecar {
    builder().build_4844().expect("the blob has a commitment")
}

fn carrying(nonce: u64, sidecar: &BlobTransactionSidecarVariant) -> TxEip4844 {
    TxEip4844 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: Address::repeat_byte(0x42),
        max_fee_per_blob_gas: BLOB_FEE,
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        ..TxEip4844::default()
    }
}

/// A signed transaction with this beside it.
fn sent(wallet: &Wallet, transaction: TxEip4844, sidecar: BlobTransactionSidecarVariant) -> Bytes {
    wallet.sign(TxEip4844WithSidecar {
        tx: transaction,
        sidecar,
    })
}

#[test]
fn a_blob_transaction_is_taken_without_what_came_with_it() {
    let bench = importing();
    let wallet = bench.wallet(1);
    let cells: BlobTransactionSidecarEip7594 =
        builder().build_7594().expect("the blob has cell proofs");
    let sidecars = [
        BlobTransactionSidecarVariant::Eip4844(sidecar()),
        BlobTransactionSidecarVariant::Eip7594(cells),
    ];
    for (nonce, sidecar) in (0..).zip(sidecars) {
        let transaction = carrying(nonce, &sidecar);
        let alone = wallet.sign(transaction.clone());
        let hash = bench
            .add(sent(&wallet, transaction, sidecar.clone()))
            .expect("it is taken");
        assert_eq!(
            hash,
            keccak256(&alone),
            "the hash is that of the transaction alone"
        );
        let pooled = bench.pool.get(&hash).expect("it is pooled");
        assert_eq!(pooled.raw, alone);
        assert!(pooled.transaction.is_eip4844());
        assert_eq!(
            bench.refuse(sent(&wallet, carrying(nonce, &sidecar), sidecar)),
            "already known"
        );
    }
    assert_eq!(bench.status(), (2, 0));
}

#[test]
fn what_does_not_belong_to_the_transaction_is_refused() {
    let bench = importing();
    let wallet = bench.wallet(1);
    let whole = BlobTransactionSidecarVariant::Eip4844(sidecar());
    let transaction = carrying(0, &whole);
    let changed = |change: &dyn Fn(&mut BlobTransactionSidecar)| {
        let mut other = sidecar();
        change(&mut other);
        sent(
            &wallet,
            transaction.clone(),
            BlobTransactionSidecarVariant::Eip4844(other),
        )
    };
    let mut none = transaction.clone();
    none.blob_versioned_hashes.clear();
    let mut seven = transaction.clone();
    seven.blob_versioned_hashes = vec![transaction.blob_versioned_hashes[0]; 7];
    let good = sent(&wallet, transaction.clone(), whole.clone());
    let table: Vec<(&str, Bytes, &str)> = vec![
        (
            "without blobs beside it",
            wallet.sign(transaction.clone()),
            "missing sidecar in blob transaction",
        ),
        (
            "of no blobs",
            sent(
                &wallet,
                none,
                BlobTransactionSidecarVariant::Eip4844(BlobTransactionSidecar::default()),
            ),
            "blobless blob transaction",
        ),
        (
            "of seven blobs",
            sent(&wallet, seven, whole.clone()),
            "too many blobs in transaction: have 7, permitted 6",
        ),
        (
            "with another blob",
            changed(&|sidecar| sidecar.blobs[0].0[40] ^= 1),
            "invalid blobs: ",
        ),
        (
            "with a blob that is no field elements",
            changed(&|sidecar| sidecar.blobs[0].0.fill(0xff)),
            "invalid blobs: ",
        ),
        (
            "with another proof",
            changed(&|sidecar| sidecar.proofs[0] = Bytes48::repeat_byte(0)),
            "invalid blobs: ",
        ),
        (
            "with another commitment",
            changed(&|sidecar| sidecar.commitments[0] = Bytes48::repeat_byte(1)),
            "invalid blobs: ",
        ),
        (
            "with a blob too many",
            changed(&|sidecar| {
                sidecar.blobs.push(sidecar.blobs[0]);
                sidecar.commitments.push(sidecar.commitments[0]);
                sidecar.proofs.push(sidecar.proofs[0]);
            }),
            "invalid blobs: ",
        ),
        ("cut short", good.slice(..good.len() - 1), "rlp: "),
        (
            "with a byte behind it",
            Bytes::from([&good[..], &[0]].concat()),
            "rlp: ",
        ),
        (
            "of more than a megabyte",
            Bytes::from([&good[..], &vec![0; 1 << 20]].concat()),
            "oversized data: transaction size ",
        ),
    ];
    for (what, raw, expected) in table {
        let text = bench.refuse(raw);
        assert!(text.starts_with(expected), "a transaction {what}: {text}");
    }
    assert_eq!(bench.status(), (0, 0));
    bench.add(good).expect("the whole one is taken");
}

#[test]
fn what_is_pooled_without_its_blobs_is_not_forwarded() {
    let bench = importing();
    let wallet = bench.wallet(1);
    let whole = BlobTransactionSidecarVariant::Eip4844(sidecar());
    bench
        .add(sent(&wallet, carrying(0, &whole), whole))
        .expect("it is taken");
    assert!(bench.pool.take_gossip(1 << 20).is_none());
    assert!(bench.pool.pending_batches(1 << 20).is_empty());
}

#[test]
fn a_fault_that_is_cheap_to_see_is_told_before_the_blobs_are_looked_at() {
    let bench = importing();
    let wallet = bench.wallet(1);
    let mut other = sidecar();
    other.blobs[0].0[40] ^= 1;
    let whole = BlobTransactionSidecarVariant::Eip4844(other);
    let foreign = TxEip4844 {
        chain_id: 5,
        ..carrying(0, &whole)
    };
    assert_eq!(
        bench.refuse(sent(&wallet, foreign, whole)),
        "invalid sender: invalid chain id for signer: have 5 want 1337"
    );
}

#[test]
fn blobs_are_paid_for_as_well() {
    let bench = importing();
    let whole = BlobTransactionSidecarVariant::Eip4844(sidecar());
    let gas = U256::from(21_000 * 10 * GWEI);
    let blob_gas = U256::from((1 << 17) * BLOB_FEE);
    let poor = bench.wallet_with(
        1,
        Account {
            balance: gas + blob_gas - U256::from(1),
            ..Account::default()
        },
    );
    let text = bench.refuse(sent(&poor, carrying(0, &whole), whole.clone()));
    assert!(text.ends_with("overshot 1"), "{text}");
    bench
        .accounts
        .change(poor.address, |account| account.balance += U256::from(1));
    bench.touch(&[poor.address]);
    bench
        .add(sent(&poor, carrying(0, &whole), whole))
        .expect("it can be paid");
}

#[test]
fn a_pool_of_our_own_refuses_all_of_it() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let whole = BlobTransactionSidecarVariant::Eip4844(sidecar());
    let transaction = carrying(0, &whole);
    for raw in [
        wallet.sign(transaction.clone()),
        sent(&wallet, transaction, whole),
    ] {
        assert_eq!(raw.first(), Some(&3));
        assert_eq!(
            bench.refuse(raw),
            "transaction type not supported: tx type 3 not supported by this pool"
        );
    }
}

#[test]
fn what_is_pooled_decodes_as_it_stands_in_a_block() {
    let bench = importing();
    let wallet = bench.wallet(1);
    let whole = BlobTransactionSidecarVariant::Eip4844(sidecar());
    let hash = bench
        .add(sent(&wallet, carrying(0, &whole), whole))
        .expect("it is taken");
    let pooled = bench.pool.get(&hash).expect("it is pooled");
    let decoded = TxEnvelope::decode_2718_exact(&pooled.raw).expect("it decodes");
    assert_eq!(decoded.ty(), 3);
    assert_eq!(&decoded, pooled.transaction.inner());
}
