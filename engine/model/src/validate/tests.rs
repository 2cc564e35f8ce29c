//! Plans that break one rule each.

use crate::testing::{llama, two_stacks};
use crate::{Graph, ModelPlan, Op, Origin, Packed, ParamForm, ParamName, Part, Parts, Sizes};

/// The only error of the plan after a change.
fn error(change: impl FnOnce(&mut ModelPlan)) -> String {
    let mut plan = llama(2);
    change(&mut plan);
    let errors = plan.check().expect_err("the plan is broken");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

#[test]
fn good_plans_pass() {
    assert_eq!(llama(3).check(), Ok(()));
    assert_eq!(two_stacks().check(), Ok(()));
}

#[test]
fn stacks_and_layers_are_named_and_whole() {
    assert!(error(|p| p.stacks.clear()).contains("the plan has 0 stacks"));
    let twice = error(|p| p.stacks.push(p.stacks[0].clone()));
    assert_eq!(twice, "two stacks are called `decoder`");
    let name = error(|p| p.stacks[0].name = "a.\u{1b}[31m b".into());
    assert_eq!(
        name,
        "the name of a stack is made of letters, digits, `_` and `-`, not `a.[31m b`"
    );
    let many = error(|p| p.stacks[0].layers = vec![p.stacks[0].layers[0].clone(); 5000]);
    assert_eq!(many, "the plan has 5000 layers; at most 4096 are possible");
    let out = error(|p| p.stacks[0].layers[1].graph.outputs.clear());
    assert_eq!(out, "layer 1 of `decoder` has no output `out`");
    let x = error(|p| p.stacks[0].enter.outputs[0].0 = "y".into());
    assert_eq!(x, "what enters stack `decoder` has no output `x`");
    let last = error(|p| p.stacks[0].last = Some(Graph::default()));
    assert_eq!(last, "the end of stack `decoder` has no output `final`");
    let carry = error(|p| {
        let read = Op::Input(crate::GraphInput::Carry("memory".into()));
        p.stacks[0].layers[0].graph.push(read, vec![], Origin::default());
    });
    assert!(
        carry.starts_with("layer 0 of `decoder` reads `carry.memory`, which neither enters"),
        "{carry}"
    );
}

#[test]
fn graphs_are_within_bounds() {
    let layer = |p: &mut ModelPlan, change: fn(&mut Graph)| change(&mut p.stacks[0].layers[0].graph);
    let behind = error(|p| layer(p, |g| g.outputs[0].1.node = 10_000));
    assert!(
        behind.starts_with("layer 0 of `decoder`: `out` is node 10000"),
        "{behind}"
    );
    let circle = error(|p| layer(p, |g| g.nodes[1].inputs = vec![Some(crate::Value { node: 1, out: 0 })]));
    assert!(
        circle.contains("reads node 1, which does not come before it"),
        "{circle}"
    );
    let large = error(|p| {
        layer(p, |g| {
            g.push(Op::Range(1 << 40), vec![], Origin::default());
        });
    });
    assert!(large.contains("`range` with the number 1099511627776"), "{large}");
    let split = error(|p| {
        layer(p, |g| {
            let x = Some(crate::Value { node: 0, out: 0 });
            g.push(Op::Split(Sizes::Each(vec![u64::MAX, 1])), vec![x], Origin::default());
        });
    });
    assert!(split.contains("at most 2147483648 is possible"), "{split}");
    let numbered = error(|p| {
        layer(p, |g| {
            g.params[0].name.path = "w.{n}".into();
            g.params[0].form = ParamForm::Stack { count: u64::MAX };
        });
    });
    assert!(
        numbered.contains("parameter `w.{n}` stands for 18446744073709551615 tensors"),
        "{numbered}"
    );
    let shape = error(|p| layer(p, |g| g.params[0].shape = Some(vec![1 << 40, 1 << 40])));
    assert!(shape.contains("is read as [1099511627776, 1099511627776]"), "{shape}");
    let outside = error(|p| {
        layer(p, |g| {
            g.params[0].name.path = "w.{e}".into();
            g.params[0].form = ParamForm::Expert;
        });
    });
    assert!(
        outside.contains("belongs to an expert, but stands outside `experts`"),
        "{outside}"
    );
}

#[test]
fn texts_can_be_shown() {
    let point = error(|p| {
        let value = p.head.outputs[0].1;
        for name in ["a\nb", "c"] {
            p.head.points.push(crate::Point {
                name: name.into(),
                value,
            });
        }
    });
    assert_eq!(point, "the head: the name of a point has control characters: `ab`");
    let reason = error(|p| p.unavailable.push(("nsp".into(), "x".repeat(5000))));
    assert!(reason.contains("is longer than 1024 bytes"), "{reason}");
}

#[test]
fn name_rules_lead_somewhere() {
    let tie = error(|p| p.names.tied = vec![(ParamName::root("a"), ParamName::root("a.b"))]);
    assert_eq!(tie, "`names.tied` ties `a` to `a.b`, which lies within it");
    let joined = error(|p| p.names.joined = vec![("qkv".into(), vec![])]);
    assert_eq!(joined, "`names.joined` makes `qkv` of no tensors");
    let part = error(|p| {
        p.names.packed.push(Packed {
            written: "q".into(),
            from: "qkv".into(),
            part: Some(Part {
                index: 3,
                of: Parts::Equal(3),
            }),
            transposed: false,
            interleaved: false,
        });
    });
    assert_eq!(part, "`names.packed`: `q` is part 3 of 3");
}
