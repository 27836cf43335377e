import torch

from jobs.bench import roofline


def test_operations_of_matrix_products_and_convolutions_are_counted():
    linear, wave = torch.nn.Linear(30, 20), torch.randn(10, 30)
    assert roofline.operations(lambda: linear(wave).relu()) == 2 * 10 * 30 * 20
    conv, image = torch.nn.Conv2d(3, 5, 3, padding=1), torch.randn(2, 3, 8, 8)
    assert roofline.operations(lambda: conv(image)) == 2 * (2 * 5 * 8 * 8) * (3 * 3 * 3)


def test_bounds_are_printed_for_each_type_and_per_second():
    linear = torch.nn.Linear(1000, 1000)
    said = roofline.bounds(lambda: linear(torch.zeros(2000, 1000)), audio_s=2.0)
    assert "takes 2.00 GFLOP for a second of audio" in said
    assert all(name in said for name in roofline.TYPES)
