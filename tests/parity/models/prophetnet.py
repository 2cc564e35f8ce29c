"""ProphetNet (model_type `prophetnet`): the decoder has a main stream and streams that predict the next tokens.

Written from the paper (n-stream self-attention, relative positions of T5 whose tables come from the queries) and
transformers' class run with a cache, token by token; without one, that class takes the positions of the predicting stream
from other tokens and heads. Only the first predicting stream is run: it makes the logits and no other stream sees it.
Checked against transformers 5.23 with a cache: logits agree to 1e-6.
"""

import math

import torch
from torch.nn import functional as F

from models.plain import Plain


class ProphetNet(Plain):
    def shapes(self) -> dict:
        c = self.config
        width = c["hidden_size"]
        shapes = {"prophetnet.word_embeddings.weight": (c["vocab_size"], width)}

        def norm(name):
            shapes.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

        def dense(name, b, a):
            shapes.update({f"{name}.weight": (b, a), f"{name}.bias": (b,)})

        for stack in ("encoder", "decoder"):
            at = f"prophetnet.{stack}."
            shapes[f"{at}position_embeddings.weight"] = (c["max_position_embeddings"], width)
            norm(f"{at}embeddings_layer_norm")
            for i in range(c[f"num_{stack}_layers"]):
                layer = f"{at}layers.{i}."
                for part in ("self_attn", "cross_attn") if stack == "decoder" else ("self_attn",):
                    for proj in ("query_proj", "key_proj", "value_proj", "out_proj"):
                        dense(f"{layer}{part}.{proj}", width, width)
                    norm(f"{layer}{part}_layer_norm")
                dense(f"{layer}feed_forward.intermediate", c[f"{stack}_ffn_dim"], width)
                dense(f"{layer}feed_forward.output", width, c[f"{stack}_ffn_dim"])
                norm(f"{layer}feed_forward_layer_norm")
                if stack == "decoder":
                    dense(f"{layer}self_attn.relative_pos_embeddings", c["num_buckets"] * c["num_decoder_attention_heads"], width)
        shapes["prophetnet.decoder.ngram_embeddings.weight"] = (c["ngram"], width)
        return shapes

    def norm(self, x, name):
        return self.layer_norm(x, name, 1e-5)

    def heads(self, x, name, heads):
        return self.linear(x, name).unflatten(-1, (heads, -1))

    def feed(self, x, layer):
        assert self.config["activation_function"] == "gelu"
        y = self.linear(F.gelu(self.linear(x, f"{layer}feed_forward.intermediate")), f"{layer}feed_forward.output")
        return self.norm(x + y, f"{layer}feed_forward_layer_norm")

    def over(self, x, memory, name, heads):
        """Attention of all rows of x over all rows of memory, with the residual and the norm."""
        q, k, v = (self.heads(y, f"{name}.{p}_proj", heads) for y, p in ((x, "query"), (memory, "key"), (memory, "value")))
        p = torch.softmax(torch.einsum("thd,shd->hts", q, k) / math.sqrt(q.shape[-1]), -1)
        y = torch.einsum("hts,shd->thd", p, v).flatten(1)
        return self.norm(x + self.linear(y, f"{name}.out_proj"), f"{name}_layer_norm")

    def bucket(self, back: int) -> int:
        """The bucket of a key `back` tokens before."""
        exact = self.config["num_buckets"] // 2
        if back < exact:
            return back
        share = math.log(back / exact) / math.log(self.config["relative_max_distance"] / exact)
        return min(exact + int(share * exact), self.config["num_buckets"] - 1)

    def near(self, x, keys, values, distances, name, heads):
        """One row x over the listed keys at these distances."""
        q = self.heads(x, f"{name}.query_proj", heads)
        table = self.linear(x, f"{name}.relative_pos_embeddings").unflatten(-1, (-1, heads))
        score = [(q * k).sum(-1) / math.sqrt(q.shape[-1]) + table[self.bucket(d)] for k, d in zip(keys, distances)]
        p = torch.softmax(torch.stack(score), 0)
        y = sum(p[s][:, None] * v for s, v in enumerate(values)).flatten()
        return self.norm(x + self.linear(y, f"{name}.out_proj"), f"{name}_layer_norm")

    def decoder_layer(self, layer, main, next_, memory):
        heads = self.config["num_decoder_attention_heads"]
        name = f"{layer}self_attn"
        k, v = (self.heads(main, f"{name}.{p}_proj", heads) for p in ("key", "value"))
        own_k, own_v = (self.heads(next_, f"{name}.{p}_proj", heads) for p in ("key", "value"))
        seen, ahead = [], []
        for t in range(len(main)):
            back = [t - s for s in range(t + 1)]
            seen.append(self.near(main[t], k[: t + 1], v[: t + 1], back, name, heads))
            keys, values = [*k[: t + 1], own_k[t]], [*v[: t + 1], own_v[t]]
            ahead.append(self.near(next_[t], keys, values, [b + 1 for b in back] + [0], name, heads))
        return tuple(self.feed(self.over(torch.stack(y), memory, f"{layer}cross_attn", heads), layer) for y in (seen, ahead))

    def forward(self, input_ids, decoder_input_ids):
        c, points = self.config, {}
        words, first = self.w["prophetnet.word_embeddings.weight"], c["pad_token_id"] + 1
        at = "prophetnet.encoder."
        place = self.w[f"{at}position_embeddings.weight"]
        x = words[input_ids] + place[first : first + len(input_ids)]
        x = points["encoder.embed"] = self.norm(x, f"{at}embeddings_layer_norm")
        for i in range(c["num_encoder_layers"]):
            x = self.over(x, x, f"{at}layers.{i}.self_attn", c["num_encoder_attention_heads"])
            x = points[f"encoder.{i}"] = self.feed(x, f"{at}layers.{i}.")
        memory = points["encoder.final"] = x

        at = "prophetnet.decoder."
        place = self.w[f"{at}position_embeddings.weight"]
        n = len(decoder_input_ids)
        x = self.norm(words[decoder_input_ids] + place[first : first + n], f"{at}embeddings_layer_norm")
        start = self.w[f"{at}ngram_embeddings.weight"][-1]
        y = self.norm(start + place[first + 1 : first + 1 + n], f"{at}embeddings_layer_norm")
        points["decoder.embed"] = x
        for i in range(c["num_decoder_layers"]):
            x, y = self.decoder_layer(f"{at}layers.{i}.", x, y, memory)
            points[f"decoder.{i}"], points[f"decoder.{i}.next"] = x, y
        points["decoder.final"] = x
        points["logits"] = y @ words.T
        return points
