import pytest
import torch
import torch.nn.functional as F

from fastlander.learner.equations import clip_norm, huber, mse, td_target


def test_td_target_by_hand():
    reward, discount = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.0, 0.5])
    target_values = torch.tensor([[1.0, 10.0], [1.0, 10.0], [7.0, 8.0]])
    online_values = torch.tensor([[5.0, 4.0], [5.0, 4.0], [0.0, 1.0]])
    assert td_target(reward, discount, target_values, target_values).tolist() == [6.0, 2.0, 7.0]
    assert td_target(reward, discount, target_values, online_values).tolist() == [1.5, 2.0, 7.0]


def test_a_terminated_episode_has_no_future_and_a_truncated_one_does():
    values = torch.tensor([[4.0, 8.0]])
    assert td_target(torch.tensor([1.0]), torch.tensor([0.0]), values, values).item() == 1
    assert td_target(torch.tensor([1.0]), torch.tensor([0.9]), values, values).item() == pytest.approx(8.2)


@pytest.mark.parametrize(("ours", "torchs"), [(huber, F.smooth_l1_loss), (mse, F.mse_loss)])
def test_losses_and_their_derivatives_equal_torch(ours, torchs):
    error = torch.linspace(-3, 3, 25, requires_grad=True)
    expected = torchs(error, torch.zeros(25))
    expected.backward()
    loss, grad = ours(error.detach())
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(grad, error.grad)


def test_clipping_equals_torch():
    for scale in (0.1, 100.0):
        parameter = torch.nn.Parameter(torch.zeros(50))
        parameter.grad = scale * torch.randn(50)
        ours = parameter.grad.clone()
        clip_norm(ours, 10.0)
        torch.nn.utils.clip_grad_norm_([parameter], 10.0)
        torch.testing.assert_close(ours, parameter.grad)
