//! The schema of plans: what is written as JSON satisfies it, and what cannot be read does not.

use serde_json::{Value, json};
use sli_config::schema;
use sli_model::{
    Activation, Attend, BinaryOp, Foreign, Frequencies, Graph, GraphInput, InputKind, LayerPlan, ModelPlan, NameRules,
    Num, Op, Origin, Packed, Param, ParamForm, ParamId, ParamName, Part, Parts, Point, Rope, Scalar, Sizes, StackPlan,
    StackValue, UnaryOp,
};

/// A plan with every kind of value in it; it need not make sense.
fn plan() -> Value {
    let rope = Rope {
        width: 4,
        interleaved: false,
        frequencies: Frequencies::Fixed {
            inv_freq: vec![Num(1.0), Num(0.01)],
            scale: Num(1.0),
        },
        axes: sli_model::Axes::One,
    };
    let attend = Attend {
        causal: true,
        window: Some(5),
        chunk: None,
        scale: None,
        softcap: Some(Num(50.0)),
        lse: false,
    };
    let foreign = Foreign {
        plugin: "p".into(),
        function: "f".into(),
        options: "{}".into(),
        outputs: 1,
        digest: String::new(),
        code: sli_model::Code::default(),
    };
    let ops = [
        Op::Input(GraphInput::X),
        Op::Input(GraphInput::Carry("v0".into())),
        Op::Input(GraphInput::Stack {
            stack: "encoder".into(),
            value: StackValue::Hidden(2),
        }),
        Op::Param(ParamId(0)),
        Op::Const(Scalar::Int(2)),
        Op::Const(Scalar::Float(Num(f64::INFINITY))),
        Op::RmsNorm {
            eps: Num(1e-6),
            offset: Num(0.0),
            groups: 1,
        },
        Op::Unary(UnaryOp::Neg),
        Op::Activation(Activation::Silu),
        Op::Binary(BinaryOp::Add),
        Op::Softmax,
        Op::Clamp {
            lo: None,
            hi: Some(Num(1.0)),
        },
        Op::Split(Sizes::Each(vec![2, 2])),
        Op::Slice {
            start: Some(-2),
            end: None,
        },
        Op::Rotary(rope),
        Op::Attend(attend),
        Op::RowConv {
            stride: 1,
            padding: (1, 1),
            groups: 1,
            dilation: 1,
        },
        Op::Foreign(Box::new(foreign)),
    ];
    let mut graph = Graph::default();
    let mut last = None;
    for op in ops {
        last = Some(graph.push(op, vec![last, None], Origin::default()));
    }
    let value = last.unwrap();
    graph.outputs.push(("out".into(), value));
    graph.points.push(Point {
        name: "q".into(),
        value,
    });
    graph.params.push(Param {
        name: ParamName::root("w"),
        shape: Some(vec![2, 3]),
        optional: true,
        form: ParamForm::Stack { count: 3 },
        origin: Origin::default(),
    });
    let packed = Packed {
        written: "a".into(),
        from: "b".into(),
        part: Some(Part {
            index: 0,
            of: Parts::Rows(vec![1, 2]),
        }),
        transposed: false,
        interleaved: false,
    };
    let names = NameRules {
        root: vec!["model.".into()],
        tied: vec![(ParamName::file("lm_head"), ParamName::root("embed"))],
        rename: vec![("a".into(), vec!["b".into()])],
        packed: vec![packed],
        ..NameRules::default()
    };
    let plan = ModelPlan {
        family: "f".into(),
        names,
        stacks: vec![StackPlan {
            name: "decoder".into(),
            tokens: "input_ids".into(),
            enter: graph.clone(),
            layers: vec![LayerPlan {
                class: "decoder".into(),
                graph: graph.clone(),
            }],
            last: None,
        }],
        head: graph,
        unavailable: vec![("logits".into(), "no head".into())],
        inputs: vec![("picture".into(), InputKind::Images)],
    };
    serde_json::to_value(&plan).unwrap()
}

#[test]
fn written_plans_satisfy_the_schema() {
    let validator = jsonschema::draft7::options().build(&schema::plan()).unwrap();
    let plan = plan();
    let errors: Vec<_> = validator
        .iter_errors(&plan)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    serde_json::from_value::<ModelPlan>(plan).unwrap();
}

/// A change of a plan as JSON.
type Change = fn(&mut Value);

#[test]
fn what_cannot_be_read_does_not_satisfy_the_schema() {
    let validator = jsonschema::draft7::options().build(&schema::plan()).unwrap();
    let changes: [(&str, Change); 12] = [
        ("an unknown key", |plan| plan["colour"] = json!("red")),
        ("an unknown key of a node", |plan| {
            plan["head"]["nodes"][0]["tag"] = json!(1)
        }),
        ("an unknown op", |plan| plan["head"]["nodes"][0]["op"] = json!("warp")),
        ("an op of two kinds", |plan| {
            plan["head"]["nodes"][0]["op"] = json!({ "softcap": 1.0, "top_k": 2 });
        }),
        ("an attribute that is missing", |plan| {
            plan["head"]["nodes"][0]["op"] = json!({ "rms_norm": { "eps": 1e-6, "groups": 1 } });
        }),
        ("an attribute too many", |plan| {
            plan["head"]["nodes"][0]["op"] = json!({ "top_k": 2, "k": 2 });
        }),
        ("a number in words", |plan| {
            plan["head"]["nodes"][0]["op"] = json!({ "softcap": "fifty" })
        }),
        ("a negative index", |plan| {
            plan["head"]["outputs"][0][1]["node"] = json!(-1)
        }),
        ("an output of three", |plan| {
            plan["head"]["outputs"][0] = json!(["out", { "node": 0 }, 3])
        }),
        ("a stack without layers", |plan| {
            plan["stacks"][0].as_object_mut().unwrap().remove("layers");
        }),
        ("an unknown kind of input", |plan| {
            plan["inputs"][0][1] = json!("smells")
        }),
        ("no family", |plan| {
            plan.as_object_mut().unwrap().remove("family");
        }),
    ];
    for (what, change) in changes {
        let mut plan = plan();
        change(&mut plan);
        assert!(!validator.is_valid(&plan), "the schema accepts {what}");
        assert!(
            serde_json::from_value::<ModelPlan>(plan).is_err(),
            "it can be read: {what}"
        );
    }
}
