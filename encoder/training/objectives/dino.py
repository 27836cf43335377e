"""Self-distillation without labels.

Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers" (DINO), eqs. 1 to 4.

The student's distribution over K outputs follows that of the averaged encoder, the teacher, which is centred, so that
no output wins everywhere, and sharpened, so that not all are equal. The K outputs come from a linear layer whose rows
have unit norm, applied to the normalised projection (section 3.1; appendix C).
"""

from __future__ import annotations

from torch import Tensor


def dino(
    student_1: Tensor,
    student_2: Tensor,
    teacher_1: Tensor,
    teacher_2: Tensor,
    centre: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Tensor:
    """Compute the cross-entropy of each student view under the teacher's distribution for the other view.

    Args:
        student_1: (n, K) logits of the first views.
        student_2: (n, K), of the second views.
        teacher_1: (n, K), by the teacher; no gradient flows there.
        teacher_2: likewise, of the second views.
        centre: (K,), running mean of the teacher's logits.
        student_temperature: of the student's softmax.
        teacher_temperature: of the teacher's; lower is sharper.
    """

    def cross(student: Tensor, teacher: Tensor) -> Tensor:
        target = ((teacher.detach() - centre) / teacher_temperature).softmax(1)
        return -(target * (student / student_temperature).log_softmax(1)).sum(1).mean()

    return (cross(student_1, teacher_2) + cross(student_2, teacher_1)) / 2


def update_centre(centre: Tensor, teacher: Tensor, momentum: float = 0.9) -> Tensor:
    """Return the running mean (K,) of the teacher's logits (n, K) after a step (eq. 4)."""
    return momentum * centre + (1 - momentum) * teacher.detach().mean(0)
