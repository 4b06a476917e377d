//! Routes of coupon pools, as the API's document tells them.

use campaign::coupon::PoolView;
use serde_json::{Value, json};

use super::{MEDIA, PoolsView};
use crate::http::auth::{Operate, Read};
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

fn pool() -> Value {
    json!({ "pool": "spring", "codes": 1000, "free": 990, "given": 9, "void": 1 })
}

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/coupon-pools", "listCouponPools", "All pools of codes")
            .needs::<Read>()
            .query::<PageQuery>()
            .answers::<PoolsView>(200, "A page of pools.", json!({ "pools": [pool()] })),
        Operation::get("/coupon-pools/{pool}", "getCouponPool", "How many codes of a pool are left")
            .needs::<Read>()
            .answers::<PoolView>(200, "The pool.", pool())
            .refuses(&["coupon.no_such_pool"]),
        Operation::post("/coupon-pools/{pool}/codes", "addCoupons", "Add codes to a pool")
            .describe(
                "The pool begins with its first upload. One code on each line: as text or as a JSON string; of `text/csv` the \
                 first column. The first line of CSV is a header where the media type says `header=present`, or says nothing \
                 and the first column is `code`, `codes`, `coupon`, `coupon_code` or `voucher`. At most 10000 codes and 1 MiB at once; each stands once in its pool. All are added, or \
                 none. Awards that wait for a code are served first.",
            )
            .needs::<Operate>()
            .text(MEDIA)
            .keyed()
            .answers::<PoolView>(201, "The codes are there.", pool())
            .refuses(&["award.entropy", "award.sealed", "coupon.bad_codes", "coupon.known", "edge.bad_text"])
            .refuses(&["edge.wrong_media"]),
    ]
}
