"""Self-distillation without labels: Caron et al. 2021, "Emerging Properties in Self-Supervised Vision
Transformers" (DINO), eqs. 1 to 4: the student's distribution over prototypes follows the EMA teacher's, which is
centred (no prototype may win everything) and sharpened (not all may be equal).
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
    """Cross-entropy of each student view under the other view's teacher. All (n, prototypes) logits -> scalar."""

    def cross(student: Tensor, teacher: Tensor) -> Tensor:
        target = ((teacher.detach() - centre) / teacher_temperature).softmax(1)
        return -(target * (student / student_temperature).log_softmax(1)).sum(1).mean()

    return (cross(student_1, teacher_2) + cross(student_2, teacher_1)) / 2


def update_centre(centre: Tensor, teacher: Tensor, momentum: float = 0.9) -> Tensor:
    """Running mean of the teacher's logits (eq. 4). centre: (prototypes,), teacher: (n, prototypes)."""
    return momentum * centre + (1 - momentum) * teacher.detach().mean(0)
