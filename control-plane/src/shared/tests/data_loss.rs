//! What happens when Valkey goes away, and when it comes back without its memory.

use super::*;

#[tokio::test]
async fn quotas_count_on_where_they_were() {
    let Some(server) = Server::start(&[]).await else { return };
    let (shared, _) = two(&server, false).await;
    let gateway = gateway();
    let flush = async || -> String { server.command(&["FLUSHALL"]).await };
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    let mut count = |grant: QuotaGrant| *sums.entry(grant.window).or_default() += grant.granted;
    count(grant(&shared, &gateway, ask(quota(), 600, 600)).await);
    flush().await;
    count(grant(&shared, &gateway, ask(quota(), 200, 200)).await);
    flush().await;
    count(grant(&shared, &gateway, ask(quota(), 500, 500)).await);
    assert!(sums.values().all(|sum| *sum <= 1_000), "{sums:?}");
    assert_eq!(sums.values().sum::<u64>(), if sums.len() == 1 { 1_000 } else { 1_300 }, "{sums:?}");
}

#[tokio::test]
async fn shares_on_their_way_are_not_given_twice() {
    let Some(server) = Server::start(&[]).await else { return };
    let (shared, _) = two(&server, false).await;
    let gateway = gateway();
    grant(&shared, &gateway, ask(quota(), 1, 1)).await;
    let askers = (0..20).map(|_| async {
        let mut grants = Vec::new();
        for _ in 0..20 {
            grants.push(grant(&shared, &gateway, ask(quota(), 1, 5)).await);
        }
        grants
    });
    let flushes = async {
        for _ in 0..20 {
            let _: String = server.command(&["FLUSHALL"]).await;
        }
    };
    let (grants, ()) = tokio::join!(join_all(askers), flushes);
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    for grant in grants.concat() {
        *sums.entry(grant.window).or_default() += grant.granted;
    }
    assert!(sums.values().all(|sum| *sum < 1_000), "{sums:?}");
}

#[tokio::test]
async fn the_loss_is_told_together_with_what_is_lost() {
    let Some(server) = Server::start(&[]).await else { return };
    let (first, second) = two(&server, false).await;
    first.sync(&failed(1, Reason::Credential), &gateway()).await.unwrap();
    let before = news(&second, |news| !news.targets.is_empty()).await;
    // Each asks the store by itself, and this one may not have had its first answer yet.
    let of_first = news(&first, |news| !news.targets.is_empty()).await;
    assert_eq!(of_first.memory, before.memory);
    let _: String = server.command(&["FLUSHALL"]).await;
    let after = news(&second, |news| news.version != before.version).await;
    assert_ne!(after.memory, before.memory);
    assert_eq!(after.targets, []);
    news(&first, |news| news.memory == after.memory).await;
}

#[tokio::test]
async fn while_it_is_away_the_last_known_is_told_and_nothing_is_promised() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let (shared, _) = two(&server, false).await;
    let gateway = gateway();
    shared.sync(&failed(1, Reason::Credential), &gateway).await.unwrap();
    let before = news(&shared, |news| !news.targets.is_empty()).await;
    server.stop();
    let error = shared.sync(&failed(2, Reason::Credential), &gateway).await.unwrap_err();
    assert!(!matches!(error, StoreError::Refused(_)), "{error}");
    let told = shared.news_now().unwrap();
    assert_eq!((&told.version, told.targets.len()), (&before.version, 1));

    server.restart().await;
    let deadline = Instant::now() + PATIENCE;
    while shared.sync(&failed(3, Reason::Retry), &gateway).await.is_err() {
        assert!(Instant::now() < deadline, "never again");
        sleep(Duration::from_millis(20)).await;
    }
    let after = news(&shared, |news| news.memory != before.memory).await;
    assert_eq!(after.targets[0].error.unwrap().reason, Reason::Retry);
}
