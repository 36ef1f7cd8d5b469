"""The networks that no installed library has, in plain PyTorch with the tensor names of their checkpoints."""

import torch
from torch import nn
from torch.nn import functional


class Heads(nn.Module):
    """Attention with separate projections; `distance` (1, H, T, T) is gated by the queries, as in WavLM and BEATs."""

    def __init__(self, dim, heads):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(dim, dim))
        self.grep_linear = nn.Linear(dim // heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, heads, 1, 1))
        self.heads = heads

    def forward(self, x, distance):
        batch, tokens, dim = x.shape
        q, k, v = (
            project(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        gates = self.grep_linear(q).view(batch, self.heads, tokens, 2, 4).sum(-1).sigmoid()
        bias = (gates[..., :1] * (gates[..., 1:] * self.grep_a - 1.0) + 2.0) * distance
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, tokens, dim))


class BeatsLayer(nn.Module):
    def __init__(self, dim, wide, heads, scale):
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Heads(dim, heads), nn.LayerNorm(dim)
        self.fc1, self.fc2, self.final_layer_norm = nn.Linear(dim, wide), nn.Linear(wide, dim), nn.LayerNorm(dim)
        self.scale = scale

    def forward(self, x, distance):
        x = self.self_attn_layer_norm(x * self.scale + self.self_attn(x, distance))
        return self.final_layer_norm(x * self.scale + self.fc2(functional.gelu(self.fc1(x))))


class Beats(nn.Module):
    """BEATs; the classes of distances do not cost anything, so near and far ones are told apart by their sign alone."""

    def __init__(self, config):
        super().__init__()
        dim, width, heads = config["encoder_embed_dim"], config["embed_dim"], config["encoder_attention_heads"]
        self.patch_embedding = nn.Conv2d(1, width, 16, 16, bias=False)
        self.layer_norm, self.post_extract_proj = nn.LayerNorm(width), nn.Linear(width, dim)
        taps, groups = config["conv_pos"], config["conv_pos_groups"]
        positions = nn.Module()
        positions.weight_g = nn.Parameter(torch.ones(1, 1, taps))
        positions.weight_v = nn.Parameter(torch.randn(dim, dim // groups, taps))
        positions.bias = nn.Parameter(torch.zeros(dim))
        self.encoder = nn.Module()
        self.encoder.pos_conv, self.encoder.layer_norm = nn.ModuleList([positions]), nn.LayerNorm(dim)
        scale = (2.0 * config["encoder_layers"]) ** 0.25
        layers = [BeatsLayer(dim, config["encoder_ffn_embed_dim"], heads, scale) for _ in range(config["encoder_layers"])]
        self.encoder.layers = nn.ModuleList(layers)
        layers[0].self_attn.relative_attention_bias = nn.Embedding(config["num_buckets"], heads)
        self.predictor = nn.Linear(dim, config["predictor_class"])
        self.buckets, self.reach, self.groups = config["num_buckets"], config["max_distance"], groups

    def distances(self, tokens):
        """As T5 has them: (1, H, T, T)."""
        place = torch.arange(tokens)
        gap = place[None] - place[:, None]
        half, near = self.buckets // 2, self.buckets // 4
        far = near + (gap.abs().clamp(min=1) / near).log() / torch.tensor(self.reach / near).log() * (half - near)
        bucket = torch.where(gap.abs() < near, gap.abs(), far.long().clamp(max=half - 1)) + half * (gap > 0)
        return self.encoder.layers[0].self_attn.relative_attention_bias(bucket).permute(2, 0, 1)[None]

    def forward(self, features):
        x = self.patch_embedding(features[:, None]).flatten(2).transpose(1, 2)
        x = self.post_extract_proj(self.layer_norm(x))
        place = self.encoder.pos_conv[0]
        weight = place.weight_v * (place.weight_g / place.weight_v.norm(dim=(0, 1), keepdim=True))
        taps = weight.shape[2]
        y = functional.conv1d(x.transpose(1, 2), weight, place.bias, padding=taps // 2, groups=self.groups)
        x = self.encoder.layer_norm(x + functional.gelu(y[:, :, :-1].transpose(1, 2)))
        distance = self.distances(x.shape[1])
        for layer in self.encoder.layers:
            x = layer(x, distance)
        return self.predictor(x).mean(1)


class ConvNextBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(dim, dim, 7, padding=3, groups=dim), nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.randn(dim))

    def forward(self, x):
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.pwconv2(functional.gelu(self.pwconv1(y)))).permute(0, 3, 1, 2)


class ChannelNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        x = functional.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return x.permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """The encoder of CoNeTTE: ConvNeXt-Tiny over log-mel features (B, T, 224)."""

    def __init__(self, dims=(96, 192, 384, 768), depths=(3, 3, 9, 3)):
        super().__init__()
        self.bn0 = nn.BatchNorm2d(224)
        stem = nn.Sequential(nn.Conv2d(1, dims[0], 4, 4, padding=(4, 0)), ChannelNorm(dims[0]))
        pairs = zip(dims, dims[1:])
        halving = [nn.Sequential(ChannelNorm(a), nn.Conv2d(a, b, 2, 2)) for a, b in pairs]
        self.downsample_layers = nn.ModuleList([stem, *halving])
        stages = [nn.Sequential(*(ConvNextBlock(dim) for _ in range(n))) for dim, n in zip(dims, depths)]
        self.stages = nn.ModuleList(stages)

    def forward(self, features):
        x = self.bn0(features[:, None].transpose(1, 3)).transpose(1, 3)
        for down, stage in zip(self.downsample_layers, self.stages):
            x = stage(down(x))
        return x.mean(3).transpose(1, 2)


class Conette(nn.Module):
    """The encoder at its place in a checkpoint, with the one tensor of the rest that has to fit its configuration."""

    CONFIG = {
        "task_names": ["clotho"], "num_decoder_layers": 1,
        "tokenizer_state": {"tokenizer": {"itos": dict(enumerate(["<pad>", "<bos>", "<eos>", "<unk>", "<bos_clotho>"]))}},
    }

    def __init__(self):
        super().__init__()
        self.preprocessor, self.model = nn.Module(), nn.Module()
        self.preprocessor.encoder = ConvNext()
        self.model.register_buffer("task_id_to_token_id", torch.tensor([4]))

    def forward(self, features):
        return self.preprocessor.encoder(features)


class Yamnet(nn.Module):
    """YAMNet with its batch norms folded in."""

    LAYERS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]

    def __init__(self):
        super().__init__()
        channels = 32
        self.layer1 = self.nested("fused", nn.Conv2d(1, channels, 3, 2))
        self.steps = [(self.layer1.fused.conv, 2)]
        for n, (outputs, stride) in enumerate(self.LAYERS):
            by_channel = nn.Conv2d(channels, channels, 3, stride, padding=stride % 2, groups=channels)
            layer = self.nested("depthwise_conv", by_channel)
            layer.pointwise_conv = self.nested("conv", nn.Conv2d(channels, outputs, 1)).conv
            self.add_module(f"layer{n + 2}", layer)
            self.steps += [(by_channel, stride), (layer.pointwise_conv.conv, 1)]
            channels = outputs
        self.classifier = nn.Linear(channels, 521)

    @staticmethod
    def nested(name, conv):
        outer, inner = nn.Module(), nn.Module()
        inner.conv = conv
        outer.add_module(name, inner)
        return outer

    def forward(self, patches):
        x = patches[:, None]
        for conv, stride in self.steps:
            x = functional.relu(conv(functional.pad(x, (0, 1, 0, 1)) if stride == 2 else x))
        return self.classifier(x.mean((2, 3)))
