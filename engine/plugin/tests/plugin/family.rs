//! Plugins as families.

use serde_json::json;
use sli_family::Family as _;

use crate::support::{Guest, text};

pub(crate) const PLAN: &str = r#"{"family":"test","names":{"root":[""],"tied":[],"ties_apply":false,"rename":[],"packed":[],"joined":[],"ignore":[]},
 "stacks":[{"name":"decoder","tokens":"input_ids","enter":{"nodes":[{"op":{"input":"tokens"},"inputs":[]},{"op":{"param":0},"inputs":[]},
   {"op":"embedding","inputs":[{"node":0},{"node":1}]}],"params":[{"name":{"base":"root","path":"wte.weight"}}],"outputs":[["x",{"node":2}]]},
  "layers":[{"class":"block","graph":{"nodes":[{"op":{"input":"x"},"inputs":[]},{"op":{"activation":"silu"},"inputs":[{"node":0}]}],"outputs":[["out",{"node":1}]]}}],
  "last":null}],
 "head":{"nodes":[{"op":{"input":"x"},"inputs":[]}],"outputs":[["final",{"node":0}]]},"unavailable":[],"inputs":[]}"#;

#[test]
fn a_plan_comes_out_with_its_origin() {
    let plugin = Guest::family(PLAN).load();
    plugin.check().unwrap_or_else(|errors| panic!("{}", text(&errors)));
    let family = plugin.family();
    let config = json!({ "model_type": "test", "layers": 1, "hidden_size": 8 });
    let plan = family
        .check(&config)
        .unwrap_or_else(|errors| panic!("{}", text(&errors)));
    assert_eq!(plan.stacks[0].layers.len(), 1);
    assert_eq!(plan.head.nodes[0].origin.file, "plugins/test.wasm");
    assert_eq!(family.fingerprint(), plugin.digest());
    assert_eq!(plan, family.plan(&config).unwrap());
}
