"""stream72k: the streaming student, at most 72 000 parameters.

Every layer takes the context it needs as an explicit state, and one pass over a recording is the same
code with more frames at once; so streaming equals offline by construction. The pool is an attentive
mean and deviation (Okabe et al. 2018, arXiv 1803.10963) over a sliding window, held as a ring of
each segment's weight, mean and spread: a step adds those of its new frames and drops the oldest. The
attention scores are bounded, so the softmax needs no running maximum, and the ring is merged anew at
each step (Chan et al. 1979), so nothing drifts and nothing cancels.

Half the frames are left out on the way, and which half depends on when a recording happens to begin. With
``phases = 2`` inference keeps both (a trous: the layer that halves moves on by one frame, those behind it
reach over every second), and the pool averages over them. Weights and training are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network, NetworkConfig
from edge_ser.models.causal import Block, Pointwise, StemConv, TimeConv, affine
from edge_ser.models.fused import causal_depthwise, norm_relu

__all__ = ["Stream72k", "Stream72kConfig"]

State = tuple[Tensor, ...]


@dataclasses.dataclass(frozen=True)
class Stream72kConfig(NetworkConfig):
    """Shape of a Stream72k; stored in checkpoints and bundles.

    Attributes
    ----------
    labels, n_mels
        As in `NetworkConfig`.
    stem : tuple of int
        Channels of the 3 x 3 convolutions over (frame, band); each halves the bands.
    halve : int
        Index of the stem's convolution that halves the frames too; -1 leaves that to the depthwise one after `mix`.
    phases : int
        1, or 2 to hear in inference also the frames that halving leaves out; the stem's last convolution halves then,
        or `mix` is followed by what does.
    channels, kernel : int
        Width and kernel of the convolutions over time.
    dilations : tuple of int
        One residual block each.
    heads : int
        Attention heads of the pool; divides `channels`.
    step_frames : int
        Frames of a step, even; a prediction follows each step.
    window_segments : int
        Steps in the pool's sliding window.
    bound : float
        Attention scores lie in ``-bound..bound``.
    eps : float
        Added to the variance under the root.
    """

    stem: tuple[int, ...] = (8,)
    halve: int = -1
    phases: int = 1
    channels: int = 96
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    heads: int = 4
    step_frames: int = 20
    window_segments: int = 20
    bound: float = 6.0
    eps: float = 1e-3

    def __post_init__(self) -> None:
        sizes = (self.channels, self.kernel, self.heads, self.step_frames, self.window_segments)
        if min(*sizes, *self.stem, *self.dilations) < 1:
            raise EdgeSerError(
                "stream72k: stem, channels, kernel, dilations, heads, step_frames and window_segments are at least 1"
            )
        if self.n_mels % 2 ** len(self.stem) or self.channels % self.heads or self.step_frames % 2:
            raise EdgeSerError(
                f"stream72k: n_mels {self.n_mels} must halve {len(self.stem)} times, heads {self.heads} divide "
                f"channels {self.channels}, step_frames {self.step_frames} be even"
            )
        if not -1 <= self.halve < len(self.stem):
            raise EdgeSerError(
                f"stream72k: halve {self.halve} names none of the stem's {len(self.stem)} convolutions; -1 is none"
            )
        if self.phases not in (1, 2) or (self.phases == 2 and self.halve not in (-1, len(self.stem) - 1)):
            raise EdgeSerError(
                f"stream72k: phases {self.phases} must be 1 or 2, and 2 needs halve to be -1 or the stem's last"
            )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """As `NetworkConfig.from_dict`; what was written before there were `halve` and `phases` has none."""
        return super().from_dict({"halve": -1, "phases": 1} | dict(fields))

    @property
    def mixed_bands(self) -> int:
        """Bands left after the stem."""
        return self.n_mels >> len(self.stem)

    def stem_strides(self) -> tuple[int, ...]:
        """Frames that each of the stem's convolutions moves on."""
        return tuple(2 if i == self.halve else 1 for i in range(len(self.stem)))


class Stream72k(Network):
    """The streaming student.

    Parameters
    ----------
    config : Stream72kConfig
        Its shape.
    folded : bool
        Build the form without batch normalisation that `fold` returns and bundles hold.
    dropout : float
        On the pooled vector, in training.
    """

    spec: ClassVar[MelSpec] = MelSpec(mean=-50.0, scale=20.0)
    streams: ClassVar[bool] = True
    config: Stream72kConfig

    def __init__(self, config: Stream72kConfig, *, folded: bool = False, dropout: float = 0.2) -> None:
        super().__init__()
        self.config, self.folded, self.hidden = config, folded, 2 * config.channels
        c = config
        self.stem = nn.ModuleList(
            StemConv(i, o, folded) for i, o in zip((1, *c.stem[:-1]), c.stem, strict=True)
        )
        self.mix = Pointwise(c.stem[-1] * c.mixed_bands, c.channels, folded)
        self.down = TimeConv(c.channels, c.kernel, folded)
        self.blocks = nn.ModuleList(Block(c.channels, c.kernel, folded) for _ in c.dilations)
        self.attend = nn.Conv1d(c.channels, c.heads, 1)
        self.norm: nn.Module = nn.Identity() if folded else nn.BatchNorm1d(2 * c.channels)
        self.dropout = nn.Dropout(dropout)
        self.emotion = nn.Linear(2 * c.channels, len(c.labels)) if c.labels else None
        self.adv = nn.Linear(2 * c.channels, 3)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """As `torch.nn.Module.train`, and how far each layer moves on and reaches: in training there is one phase."""
        super().train(mode)
        c = self.config
        both = c.phases == 2 and not mode
        every = 2 if both else 1  # frame that what follows the halving reaches to
        self.kept = c.step_frames // (1 if both else 2)
        for conv, stride in zip(self.stem, c.stem_strides(), strict=True):
            assert isinstance(conv, StemConv)
            conv.conv.stride = (1 if both else stride, 2)
        self.down.conv.stride = (2 if c.halve < 0 and not both else 1,)
        self.down.conv.dilation = (every if c.halve >= 0 else 1,)
        for block, dilation in zip(self.blocks, c.dilations, strict=True):
            assert isinstance(block, Block)
            block.depthwise.conv.dilation = (every * dilation,)
        return self

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the state tensors, in their order."""
        stems = [f"stem{i}" for i in range(len(self.stem))]
        return (*stems, "down", *(f"block{i}" for i in range(len(self.blocks))), "pool")

    def initial_state(self, batch: int = 1) -> State:
        """The state before the first sample: zeros.

        Returns
        -------
        tuple of Tensor
            ``stemI`` (batch, channels in, context, bands), ``down`` and ``blockI`` (batch, channels, context),
            ``pool`` (batch, window_segments, heads + 2 channels), the newest segment last.
        """
        c = self.config
        shapes: list[tuple[int, ...]] = []
        for i, conv in enumerate(self.stem):
            assert isinstance(conv, StemConv)
            shapes.append((conv.conv.in_channels, conv.context, c.n_mels >> i))
        shapes.append((c.channels, self.down.context))
        for block in self.blocks:
            assert isinstance(block, Block)
            shapes.append((c.channels, block.depthwise.context))
        shapes.append((c.window_segments, c.heads + 2 * c.channels))
        return tuple(torch.zeros(batch, *shape) for shape in shapes)

    def trunk(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """What is before the pool: features (B, T, n_mels) to (B, channels, T'), and the states of its layers.

        ``T'`` is ``T / 2``, with two phases in inference ``T``.
        """
        new = []
        x = features[:, None]
        pending = list(state)
        for conv in self.stem:
            x, kept = conv(x, pending.pop(0))
            new.append(kept)
        x = x.transpose(2, 3).flatten(1, 2)  # (B, channel * bands + band, T)
        x, kept = self.down(F.relu(self.mix(x)), pending.pop(0))
        new.append(kept)
        for block in self.blocks:
            x, kept = block(x, pending.pop(0))
            new.append(kept)
        return x, tuple(new)

    def _training_trunk(self, features: Tensor) -> Tensor:
        """As `trunk` in training and from the initial state, by `edge_ser.models.fused`."""
        x = features[:, None]
        for conv in self.stem:
            assert isinstance(conv, StemConv)
            if conv.context == 2:  # else the convolution's own padding is all before the first frame
                x = F.pad(x, (0, 0, 2, 0))
            x = F.conv2d(x, conv.conv.weight, None, conv.conv.stride, (2 - conv.context, 1))
            x = norm_relu(x.permute(0, 2, 3, 1), conv.norm).permute(0, 3, 1, 2)
        batch, channels, frames, bands = x.shape
        # Memory has channels last: the map takes them in that order, so its weight is moved and no activation is.
        weight = self.mix.conv.weight.reshape(-1, channels, bands).transpose(1, 2).flatten(1)
        x = norm_relu(F.linear(x.permute(0, 2, 3, 1).reshape(batch, frames, -1), weight), self.mix.norm)
        x = norm_relu(causal_depthwise(x, self.down.conv), self.down.norm)
        for block in self.blocks:
            assert isinstance(block, Block)
            h = norm_relu(causal_depthwise(x, block.depthwise.conv), block.depthwise.norm)
            x = norm_relu(F.linear(h, block.pointwise.conv.weight[:, :, 0]), block.pointwise.norm, x)
        return x.transpose(1, 2)

    def _moments(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """What the trunk gives (B, channels, T') to the moments of each segment (B, S, heads + 2 channels).

        They are the weights' sum, the weighted mean, and the weighted sum of squares about that mean.
        """
        c = self.config
        if x.dtype == torch.bfloat16:  # in training; sums over time are float32
            x = x.float()
        weight = torch.exp(c.bound * torch.tanh(self.attend(x) / c.bound))  # (B, heads, T')
        if valid is not None:
            weight = weight * valid[:, None]
        batch, segments = x.shape[0], x.shape[2] // self.kept
        x = x.reshape(batch, c.heads, c.channels // c.heads, segments, self.kept)
        weight = weight.reshape(batch, c.heads, 1, segments, self.kept)
        mass = weight.sum(4, keepdim=True)
        if valid is not None:
            mass = mass.clamp_min(1e-6)  # padding alone has none; real frames at least exp(-bound)
        mean = (weight * x).sum(4, keepdim=True) / mass
        apart = x - mean  # apart * apart, as TFLite has no power of five dimensions
        spread = (weight * apart * apart).sum(4).flatten(1, 2)
        rows = [weight.sum(4).flatten(1, 2), mean.squeeze(4).flatten(1, 2), spread]
        return torch.cat(rows, 1).transpose(1, 2)

    def _merge(self, segments: Tensor) -> Tensor:
        """Moments of a window's segments (..., N, heads + 2 channels) to mean and deviation (..., 2 channels)."""
        c = self.config
        weight, means, spreads = segments.split([c.heads, c.channels, c.channels], -1)
        weight = weight.repeat_interleave(c.channels // c.heads, -1)
        total = weight.sum(-2, keepdim=True)
        mean = (weight * means).sum(-2, keepdim=True) / total
        # Spread within segments and between them, never E[x^2] - mean^2: of a steady sound that difference is
        # all rounding, and every runtime rounds differently.
        apart = means - mean
        squares = (spreads + weight * apart * apart).sum(-2) / total.squeeze(-2)
        pooled = torch.cat([mean.squeeze(-2), torch.sqrt(squares + c.eps)], -1)
        return self.norm(pooled.flatten(0, -2)).reshape(pooled.shape)

    def answer(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """As `Network.answer`."""
        pooled = self.dropout(pooled)
        return torch.sigmoid(self.adv(pooled)), self.logits(pooled)

    def step(self, features: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One step: the new frames and the state before them to the answer and the state after.

        Parameters
        ----------
        features : Tensor (B, step_frames, n_mels)
        *state : Tensor
            As `initial_state`.

        Returns
        -------
        adv : Tensor (B, 3)
            Arousal, dominance, valence in 0..1.
        logits : Tensor (B, labels)
        *state : Tensor
        """
        x, new = self.trunk(features, state)
        ring = torch.cat([state[-1][:, 1:], self._moments(x)], 1)
        return (*self.answer(self._merge(ring)), *new, ring)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """One pass over whole recordings: the answers after each step, as `step` gives them.

        Parameters
        ----------
        features : Tensor (B, T, n_mels)
            ``S = T // step_frames`` at least 1; frames after the last full step are not used.

        Returns
        -------
        adv : Tensor (B, S, 3)
        logits : Tensor (B, S, labels)
        """
        c = self.config
        whole = features.shape[1] // c.step_frames * c.step_frames
        x, _ = self.trunk(features[:, :whole], self.initial_state(features.shape[0]))
        padded = F.pad(self._moments(x), (0, 0, c.window_segments - 1, 0))
        return self.answer(self._merge(padded.unfold(1, c.window_segments, 1).transpose(2, 3)))

    def pool(self, features: Tensor, frames: Tensor) -> Tensor:
        """As `Network.pool`; ``T`` a multiple of `step_frames`, at most the window."""
        every = self.config.step_frames // self.kept
        valid = (every * torch.arange(features.shape[1] // every) < frames[:, None]).to(features.dtype)
        if self.training and features.device.type == "cpu":
            x = self._training_trunk(features)
        else:
            x, _ = self.trunk(features, self.initial_state(features.shape[0]))
        return self._merge(self._moments(x, valid))

    def check_crop(self, frames: int) -> None:
        """As `Network.check_crop`: whole steps, at most the window."""
        c = self.config
        if frames % c.step_frames or not 0 < frames <= c.step_frames * c.window_segments:
            raise EdgeSerError(
                f"[fit] crop_s gives {frames} frames; stream72k needs whole steps of {c.step_frames}, at most "
                f"{c.window_segments} of them"
            )

    def fold(self) -> Stream72k:
        """The same function in inference, with batch normalisation folded into the weights."""
        folded = Stream72k(self.config, folded=True).eval()
        source, target = dict(self.named_modules()), dict(folded.named_modules())
        with torch.no_grad():
            for name, module in target.items():
                if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                    continue
                original = source[name]
                norm = source.get(name.removesuffix("conv") + "norm") if name.endswith(".conv") else None
                weight, bias = original.weight, original.bias
                if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                    scale, shift = affine(norm)
                    weight = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
                    bias = shift if bias is None else bias * scale + shift
                elif isinstance(original, nn.Linear) and isinstance(self.norm, nn.BatchNorm1d):
                    scale, shift = affine(self.norm)
                    weight, bias = weight * scale, bias + weight @ shift
                assert module.bias is not None  # the folded form has one everywhere
                module.weight.copy_(weight)
                module.bias.copy_(bias)
        return folded

    def rehearse(self, spec: MelSpec) -> float:
        """As `Network.rehearse`: a step."""
        c = self.config
        self.step(torch.zeros(1, c.step_frames, c.n_mels), *self.initial_state())
        return c.step_frames / spec.frame_rate

    def macs_per_second(self, spec: MelSpec) -> int:
        """As `Network.macs_per_second`, of the folded form."""
        c = self.config
        rate, half = spec.frame_rate, spec.frame_rate / 2 * c.phases
        macs = 0.0
        for i, (inputs, outputs) in enumerate(zip((1, *c.stem[:-1]), c.stem, strict=True)):
            rate /= c.stem_strides()[i] if c.phases == 1 else 1
            macs += rate * 9 * inputs * outputs * (c.n_mels >> (i + 1))
        macs += rate * c.stem[-1] * c.mixed_bands * c.channels
        macs += half * c.kernel * c.channels
        macs += half * len(c.dilations) * c.channels * (c.kernel + c.channels)
        macs += half * c.channels * (c.heads + 3)
        steps = spec.frame_rate / c.step_frames
        macs += steps * c.window_segments * 3 * c.channels
        macs += steps * 2 * c.channels * (len(c.labels) + 3)
        return round(macs)
