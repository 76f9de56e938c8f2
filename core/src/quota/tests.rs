//! One share through windows, shortage, outage and return.

use super::*;

const LIMIT: Limit = Limit { max: 100, window_ms: 2_000 };

/// Asks on behalf of `share` at `now_ms`, and is granted `granted`.
fn ask(share: &mut Share, granted: u64, window: u64, remaining_ms: u64, now_ms: u64) -> Wish {
    let wish = share.wish(LIMIT, now_ms).unwrap();
    share.granted(QuotaGrant { granted, window, remaining_ms }, wish, now_ms + 1);
    wish
}

fn spend(share: &mut Share, now_ms: u64) -> Spend {
    share.spend(1, LIMIT, None, now_ms)
}

#[test]
fn a_share_is_spent_without_asking_and_never_after_its_window() {
    let mut share = Share::default();
    assert_eq!(spend(&mut share, 10), Spend::Ask);
    assert_eq!(spend(&mut share, 10), Spend::Ask);
    let wish = ask(&mut share, 5, 7, 500, 10);
    assert_eq!((wish.need, wish.returned), (2, 0));
    for _ in 0..4 {
        assert_eq!(spend(&mut share, 508), Spend::Done);
    }
    // The window ended no later than 500 ms after the question.
    assert_eq!(spend(&mut share, 509), Spend::Ask);
}

#[test]
fn asks_for_as_much_as_it_will_soon_spend_before_it_runs_dry() {
    let mut share = Share::default();
    spend(&mut share, 0);
    ask(&mut share, 50, 1, 2_000, 0);
    for now_ms in 1..=45 {
        assert_eq!(spend(&mut share, now_ms), Spend::Done);
    }
    let wish = share.wish(LIMIT, 46).unwrap();
    assert_eq!(wish.need, 0, "nobody waits");
    assert!((200..=260).contains(&wish.want), "{wish:?}");
    assert_eq!(share.wish(LIMIT, 46), None, "one question at a time");
}

#[test]
fn what_the_fleet_has_used_up_is_over_until_the_window_ends_and_asked_for_again() {
    let mut share = Share::default();
    for _ in 0..3 {
        assert_eq!(spend(&mut share, 0), Spend::Ask);
    }
    ask(&mut share, 1, 1, 901, 0);
    assert_eq!(spend(&mut share, 1), Spend::Done);
    assert_eq!(spend(&mut share, 1), Spend::Over { until_ms: 900 });
    assert_eq!(share.wish(LIMIT, 50), None);
    assert_eq!(spend(&mut share, 102), Spend::Over { until_ms: 900 }, "nobody waits for it");
    let wish = ask(&mut share, 2, 1, 791, 110);
    assert_eq!(wish.need, 1);
    assert_eq!(spend(&mut share, 112), Spend::Done);
    assert_eq!(spend(&mut share, 900), Spend::Ask, "a new window");
}

#[test]
fn an_idle_share_is_returned_where_others_need_it() {
    let mut share = Share::default();
    spend(&mut share, 0);
    ask(&mut share, 10, 3, 2_000, 0);
    assert_eq!(spend(&mut share, 60), Spend::Done);
    assert_eq!(share.wish(LIMIT, 1_000), None, "nobody needs it");
    share.contended();
    assert_eq!((share.returns_at_ms(), share.has_wish(159), share.has_wish(160)), (Some(160), false, true));
    let wish = share.wish(LIMIT, 160).unwrap();
    assert_eq!(wish, Wish { need: 0, want: 0, returned: 9, window: 3 });
    assert_eq!(spend(&mut share, 161), Spend::Ask, "it is gone, whatever became of the message");
    share.lost();
    assert_eq!(spend(&mut share, 162), Spend::Ask, "and it asks again");
    assert_eq!(share.wish(LIMIT, 162).map(|wish| (wish.need, wish.returned)), Some((1, 0)));
}

const ALLOW: Option<OnUnavailable> = Some(OnUnavailable::Allow);

#[test]
fn without_the_control_plane_a_worker_goes_on_with_what_it_had() {
    let mut share = Share::default();
    let spend_alone = |share: &mut Share, now_ms| share.spend(1, LIMIT, ALLOW, now_ms);
    spend(&mut share, 0);
    ask(&mut share, 3, 1, 2_001, 0);
    for _ in 0..3 {
        assert_eq!(spend_alone(&mut share, 1_500), Spend::Done);
    }
    assert_eq!(spend_alone(&mut share, 1_500), Spend::Over { until_ms: 2_000 }, "the window it knows of");
    // The window ends between 2000 and 2003: nothing is let through while nobody knows.
    assert_eq!(spend_alone(&mut share, 2_000), Spend::Over { until_ms: 2_003 });
    for window in [1_u64, 2, 5] {
        for _ in 0..3 {
            assert_eq!(spend_alone(&mut share, window * 2_000 + 1_998), Spend::Done, "window {window}");
        }
        let end_ms = window * 2_000 + 2_000;
        assert_eq!(spend_alone(&mut share, end_ms - 1), Spend::Over { until_ms: end_ms });
        assert_eq!(spend_alone(&mut share, end_ms + 2), Spend::Over { until_ms: end_ms + 3 });
    }
    assert_eq!(share.wish(LIMIT, 12_003), None);
}

#[test]
fn the_last_whole_window_is_what_a_worker_goes_on_with() {
    let had = |before: Option<u64>, now: u64, cut_at_ms: Option<u64>| {
        let mut share = Share::default();
        for (window, granted) in [(1, before), (2, Some(now))] {
            let Some(granted) = granted else { continue };
            let from_ms = window * 2_000;
            spend(&mut share, from_ms);
            ask(&mut share, granted, window, 2_000, from_ms);
        }
        if let Some(at_ms) = cut_at_ms {
            while share.spend(1, LIMIT, ALLOW, at_ms) == Spend::Done {}
        }
        (0..200).filter(|_| share.spend(1, LIMIT, ALLOW, 6_500) == Spend::Done).count()
    };
    assert_eq!(had(Some(40), 7, Some(4_100)), 40, "the second was cut short");
    assert_eq!(had(None, 7, Some(4_100)), 7, "there was no first one");
    assert_eq!(had(Some(40), 7, None), 7, "both were whole");
    assert_eq!(had(Some(130), 7, Some(4_100)), 100, "more than there is now");
    assert_eq!(had(Some(40), 0, None), 1, "a small part");
}

#[test]
fn what_was_returned_was_never_had() {
    let mut share = Share::default();
    spend(&mut share, 0);
    ask(&mut share, 10, 3, 2_000, 0);
    assert_eq!(spend(&mut share, 1), Spend::Done);
    share.contended();
    ask(&mut share, 0, 3, 1_500, 500);
    assert_eq!((0..20).filter(|_| share.spend(1, LIMIT, ALLOW, 2_500) == Spend::Done).count(), 1);
}

#[test]
fn a_worker_that_is_back_tells_what_it_let_through_before_it_asks_for_more() {
    const LONG: Limit = Limit { max: 100, window_ms: 10_000 };
    let mut share = Share::default();
    let spend = |share: &mut Share, now_ms| share.spend(1, LONG, None, now_ms);
    let ask = |share: &mut Share, granted, now_ms| {
        let wish = share.wish(LONG, now_ms).unwrap();
        let grant = QuotaGrant { granted, window: now_ms / 10_000, remaining_ms: 10_000 - now_ms % 10_000 };
        share.granted(grant, wish, now_ms + 1);
        (wish.need, wish.want)
    };
    spend(&mut share, 10_000);
    ask(&mut share, 4, 10_000);
    for _ in 0..2 {
        assert_eq!(share.spend(1, LONG, ALLOW, 20_500), Spend::Done);
    }
    // Back, it goes on with its own share.
    assert_eq!(spend(&mut share, 21_000), Spend::Done);
    assert_eq!(ask(&mut share, 3, 21_000), (3, 3));
    assert_eq!(spend(&mut share, 21_010), Spend::Done);
    assert_eq!(ask(&mut share, 1, 21_010), (1, 1));
    assert_eq!(spend(&mut share, 21_020), Spend::Over { until_ms: 22_500 });
    // Then it asks.
    assert_eq!(spend(&mut share, 22_500), Spend::Ask);
    assert_eq!(ask(&mut share, 2, 22_500).0, 1);
    assert_eq!([22_502; 3].map(|now_ms| spend(&mut share, now_ms)), [Spend::Done, Spend::Done, Spend::Ask]);
}

#[test]
fn what_a_worker_let_through_by_itself_is_no_matter_in_the_next_window() {
    let mut share = Share::default();
    spend(&mut share, 0);
    ask(&mut share, 3, 1, 2_001, 0);
    for _ in 0..2 {
        assert_eq!(share.spend(1, LIMIT, ALLOW, 2_100), Spend::Done);
    }
    assert_eq!(spend(&mut share, 3_900), Spend::Done, "back");
    assert_eq!(spend(&mut share, 3_950), Spend::Over { until_ms: 4_000 });
    assert_eq!(spend(&mut share, 4_000), Spend::Ask);
    let wish = ask(&mut share, 5, 3, 2_000, 4_000);
    assert_eq!(wish.need, 1);
    assert_eq!((0..9).filter(|_| spend(&mut share, 4_002) == Spend::Done).count(), 5);
}

#[test]
fn a_worker_that_never_asked_takes_a_quarter() {
    let mut share = Share::default();
    assert_eq!(share.spend(25, LIMIT, ALLOW, 0), Spend::Done);
    assert_eq!(share.spend(1, LIMIT, ALLOW, 0), Spend::Over { until_ms: 2_000 });
    let mut share = Share::default();
    assert_eq!(share.spend(1, LIMIT, Some(OnUnavailable::Deny), 0), Spend::Over { until_ms: 1_000 });
}

#[test]
fn closed_limits_let_through_what_was_granted() {
    let mut share = Share::default();
    let deny = Some(OnUnavailable::Deny);
    spend(&mut share, 0);
    ask(&mut share, 2, 1, 2_001, 0);
    assert_eq!(share.spend(2, LIMIT, deny, 10), Spend::Done);
    assert_eq!(share.spend(1, LIMIT, deny, 10), Spend::Over { until_ms: 1_010 });
    assert_eq!(share.spend(1, LIMIT, deny, 2_010), Spend::Over { until_ms: 3_010 });
}

#[test]
fn a_debt_that_nobody_asks_about_is_over_some_time() {
    let mut share = Share::default();
    spend(&mut share, 0);
    ask(&mut share, 1, 1, 2_000, 0);
    share.overspend(5);
    assert_eq!(
        [1_998, 1_999, 3_998, 3_999].map(|now_ms| share.is_over(LIMIT, now_ms)),
        [false, false, false, true]
    );
}

#[test]
fn what_was_spent_in_one_window_is_not_given_back_in_the_next() {
    let mut share = Share::default();
    spend(&mut share, 980);
    ask(&mut share, 100, 1, 2_000, 980);
    assert_eq!(spend(&mut share, 2_970), Spend::Done);
    let source = share.source();
    spend(&mut share, 2_985);
    let wish = share.wish(LIMIT, 2_985).unwrap();
    // Its first message takes long: the window may have begun any time within.
    share.granted(QuotaGrant { granted: 10, window: 2, remaining_ms: 1_990 }, wish, 3_005);
    share.refund(1, source, 3_010);
    assert_eq!((0..20).filter(|_| spend(&mut share, 3_010) == Spend::Done).count(), 10);
}

#[test]
fn tokens_are_settled_by_what_was_used() {
    let mut share = Share::default();
    share.spend(40, LIMIT, None, 0);
    ask(&mut share, 60, 1, 2_000, 0);
    assert_eq!(share.spend(40, LIMIT, None, 1), Spend::Done);
    share.refund(30, share.source(), 100);
    assert_eq!(share.spend(50, LIMIT, None, 100), Spend::Done);
    share.overspend(25);
    assert_eq!(share.spend(1, LIMIT, None, 100), Spend::Ask);
    let wish = ask(&mut share, 16, 1, 1_900, 100);
    assert_eq!(wish.need, 26, "one, and the debt");
    // A refund for a window that is over has nothing to go to.
    share.refund(30, share.source(), 5_000);
    assert_eq!(share.spend(1, LIMIT, None, 5_000), Spend::Ask);
}
