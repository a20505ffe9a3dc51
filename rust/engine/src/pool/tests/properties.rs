//! Random histories: the rules of the ledger hold after each step.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Add {
        wallet: u64,
        nonce: u64,
        fee: u128,
        tip: u128,
        bytes: usize,
    },
    Mine {
        count: usize,
    },
    Balance {
        wallet: u64,
        transfers: u64,
    },
    Skip {
        wallet: u64,
        nonces: u64,
    },
    BaseFee {
        gwei: u64,
    },
    GasLimit {
        low: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..6_u64, 0..10_u64, 1..30_u128, 1..30_u128, 0..400_usize)
            .prop_map(|(wallet, nonce, fee, tip, bytes)| Step::Add { wallet, nonce, fee: fee.max(tip), tip, bytes }),
        2 => (0..6_usize).prop_map(|count| Step::Mine { count }),
        1 => (0..6_u64, 0..12_u64).prop_map(|(wallet, transfers)| Step::Balance { wallet, transfers }),
        1 => (0..6_u64, 0..4_u64).prop_map(|(wallet, nonces)| Step::Skip { wallet, nonces }),
        1 => (1..25_u64).prop_map(|gwei| Step::BaseFee { gwei }),
        1 => any::<bool>().prop_map(|low| Step::GasLimit { low }),
    ]
}

fn small_pool() -> PoolConfig {
    PoolConfig {
        pending_max: 12,
        queued_max: 7,
        account_pending_max: 5,
        account_queued_max: 3,
        bytes_max: 3_000,
        ..PoolConfig::default()
    }
}

/// The best transactions have no gap, start at the account's nonce, pay the base fee, and no offer that was at hand is
/// passed over for a worse one.
fn check_best(bench: &Bench, base_fee: u64) {
    let content = bench.pool.content();
    let mut offered: HashMap<Address, usize> = content
        .pending
        .keys()
        .map(|address| (*address, 0))
        .collect();
    for best in bench.pool.best(base_fee) {
        let tip = best
            .price
            .effective_tip(base_fee)
            .expect("it pays the base fee");
        for (address, place) in &offered {
            if let Some(other) = content.pending[address].get(*place) {
                assert!(
                    other.price.effective_tip(base_fee) <= Some(tip),
                    "a better offer was passed over"
                );
            }
        }
        let place = offered.get_mut(&best.sender()).expect("it is listed");
        assert_eq!(
            content.pending[&best.sender()][*place].hash,
            best.hash,
            "out of order"
        );
        *place += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_after_each_step(steps in proptest::collection::vec(step(), 1..120)) {
        let bench = Bench::new(small_pool());
        let wallets: Vec<Wallet> = (0..6).map(|number| bench.wallet(number)).collect();
        let (mut base_fee, mut gas_limit) = (BASE_FEE, GAS_LIMIT);
        for step in steps {
            match step {
                Step::Add { wallet, nonce, fee, tip, bytes } => {
                    let raw = wallets[wallet as usize].sign(TxEip1559 {
                        max_fee_per_gas: fee * GWEI,
                        max_priority_fee_per_gas: tip * GWEI,
                        input: vec![0; bytes].into(),
                        gas_limit: 21_000 + 10 * bytes as u64 + u64::from(bytes > 300) * 100_000,
                        ..transfer(nonce)
                    });
                    let before = content_hashes(&bench);
                    let same_nonce = pooled(&bench, &wallets[wallet as usize], nonce);
                    match bench.add(raw.clone()) {
                        Ok(hash) => {
                            prop_assert!(bench.pool.get(&hash).is_some());
                            if let Some(old) = same_nonce {
                                let new = bench.pool.get(&hash).expect("it is pooled");
                                prop_assert!(new.price.fee > old.price.fee && new.price.tip > old.price.tip);
                                prop_assert!(bench.pool.get(&old.hash).is_none());
                            }
                        }
                        Err(_) => prop_assert_eq!(content_hashes(&bench), before, "a refusal changes nothing"),
                    }
                }
                Step::Mine { count } => {
                    let hashes: Vec<B256> = bench.pool.best(base_fee).take(count).map(|best| best.hash).collect();
                    let mined: Vec<_> = hashes.iter().map(|hash| bench.pool.get(hash).expect("it is pooled")).collect();
                    for transaction in &mined {
                        bench.accounts.change(transaction.sender(), |account| account.nonce = transaction.nonce() + 1);
                    }
                    let transactions = mined.iter().map(|mined| mined.transaction.inner().clone()).collect();
                    let senders = mined.iter().map(|mined| mined.sender()).collect();
                    bench.follow(transactions, senders, base_fee, gas_limit);
                    prop_assert!(hashes.iter().all(|hash| bench.pool.get(hash).is_none()));
                }
                Step::Balance { wallet, transfers } => {
                    let address = wallets[wallet as usize].address;
                    let balance = U256::from(transfers) * U256::from(500_000 * GWEI);
                    bench.accounts.change(address, |account| account.balance = balance);
                    bench.follow(Vec::new(), vec![address], base_fee, gas_limit);
                }
                Step::Skip { wallet, nonces } => {
                    let address = wallets[wallet as usize].address;
                    bench.accounts.change(address, |account| account.nonce += nonces);
                    bench.follow(Vec::new(), vec![address], base_fee, gas_limit);
                }
                Step::BaseFee { gwei } => {
                    base_fee = gwei * BASE_FEE;
                    bench.follow(Vec::new(), Vec::new(), base_fee, gas_limit);
                }
                Step::GasLimit { low } => {
                    gas_limit = if low { 100_000 } else { GAS_LIMIT };
                    bench.follow(Vec::new(), Vec::new(), base_fee, gas_limit);
                }
            }
            check_best(&bench, base_fee);
        }
    }

    #[test]
    fn a_bump_is_at_least_the_percentage(fee in 1..u128::MAX / 200, percent in 1..100_u128, more in 0..u128::MAX / 200) {
        use super::super::transaction::Price;
        let (old, new) = (Price { fee, tip: fee }, Price { fee: fee + more, tip: fee + more });
        let threshold = U256::from(fee) * U256::from(100 + percent) / U256::from(100);
        prop_assert_eq!(new.bumps(old, percent), more > 0 && U256::from(new.fee) >= threshold);
    }
}

fn content_hashes(bench: &Bench) -> Vec<B256> {
    let content = bench.pool.content();
    let all = content
        .pending
        .into_values()
        .chain(content.queued.into_values());
    all.flatten().map(|transaction| transaction.hash).collect()
}

fn pooled(
    bench: &Bench,
    wallet: &Wallet,
    nonce: u64,
) -> Option<Arc<super::super::PooledTransaction>> {
    let content = bench.pool.content_from(wallet.address);
    let mut all = content
        .pending
        .into_values()
        .chain(content.queued.into_values())
        .flatten();
    all.find(|transaction| transaction.nonce() == nonce)
}
