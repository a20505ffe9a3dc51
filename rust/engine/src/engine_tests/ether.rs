//! No ether appears.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_ether_appears_and_only_the_base_fee_vanishes(
        steps in prop::collection::vec((0usize..8, 0usize..12, 0u64..u64::MAX, 0u64..5), 1..60),
        rewards in prop::collection::vec(0u64..3_000_000_000, 0..3),
    ) {
        let (builder, engine) = (open(None), open(None));
        let accounts = accounts();
        let total = |engine: &Engine| -> U256 {
            let state = engine.store().latest();
            let mut addresses: Vec<_> = (0..12u8).map(recipient).collect();
            addresses.extend(accounts.iter().map(|account| account.address));
            addresses.push(Address::repeat_byte(0xfe));
            addresses.sort_unstable();
            addresses.dedup();
            addresses
                .iter()
                .map(|address| state.basic_ref(*address).unwrap().map_or(U256::ZERO, |account| account.balance))
                .fold(U256::ZERO, |sum, balance| sum + balance)
        };
        let mut expected = total(&builder);
        let mut nonces = [0u64; 8];
        for round in steps.chunks(20) {
            for (sender, to, value, blanks) in round {
                // Calldata makes the gas differ.
                let call = alloy_consensus::TxEip1559 {
                    to: TxKind::Call(recipient(*to as u8)),
                    value: U256::from(*value),
                    input: vec![0; *blanks as usize * 7].into(),
                    ..accounts[*sender].call(nonces[*sender], 30_000)
                };
                submit(&builder, &[accounts[*sender].sign_transaction(call)]);
                nonces[*sender] += 1;
            }
            let index = builder.head().number * 3;
            let withdrawals: Vec<_> = rewards
                .iter()
                .enumerate()
                .map(|(offset, amount)| Withdrawal {
                    index: index + offset as u64,
                    validator_index: offset as u64,
                    address: recipient(offset as u8),
                    amount: *amount,
                })
                .collect();
            let attributes = BuildAttributes { withdrawals, ..attributes(&builder) };
            let built = builder.build(builder.head().hash, &attributes, soon()).unwrap();
            prop_assert_eq!(built.block.transactions.len(), round.len());
            builder.finalize(built.block.hash).unwrap();
            engine.validate(&built.block.encode(), &requests(&built.block)).unwrap();
            engine.finalize(built.block.hash).unwrap();

            let header = &built.block.header;
            let burned = U256::from(header.gas_used) * U256::from(header.base_fee_per_gas.unwrap());
            let issued = rewards.iter().map(|gwei| U256::from(*gwei) * U256::from(1_000_000_000)).fold(U256::ZERO, |a, b| a + b);
            expected = expected + issued - burned;
            prop_assert_eq!(total(&builder), expected);
            prop_assert_eq!(total(&engine), expected);
        }
        prop_assert_eq!(engine.head(), builder.head());
    }
}
